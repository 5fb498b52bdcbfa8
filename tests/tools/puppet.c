/* A process that writes what it is told, when it is told. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "writer.h"

enum { COMMANDS = 0, ANSWERS = 3 };

/* One line of stdin, read byte by byte so that children find the rest. */
static int next_command(char* line, size_t size) {
    size_t at = 0;
    while (at + 1 < size) {
        if (read(COMMANDS, line + at, 1) != 1) return 0;
        if (line[at] == '\n') break;
        at++;
    }
    line[at] = 0;
    return 1;
}

/* `size` bytes in lines of 50 that are numbered on and on: "NNNNNNNNN xxx". */
static char* numbered_lines(size_t size, long first) {
    char* bytes = text(size, 0);
    for (size_t at = 0; at < size; at++) {
        size_t column = at % 50;
        if (column == 49) bytes[at] = '\n';
        if (column != 0) continue;
        char head[16];
        int length = snprintf(head, sizeof head, "%09ld ", first + (long)(at / 50));
        memcpy(bytes + at, head, size - at < (size_t)length ? size - at : (size_t)length);
    }
    return bytes;
}

/* Commands: `say FD TEXT` with a newline, `put FD TEXT` without, `block FD SIZE FIRST` numbered
 * lines in one write, `send FD SIZE FIRST` the same by sendfile, `close FD`. After each, one line
 * on fd 3: what the last call gave. Ends with stdin. */
static int run_puppet(int argc, char** argv) {
    (void)argc, (void)argv;
    static char line[8192];
    signal(SIGPIPE, SIG_IGN);
    while (next_command(line, sizeof line)) {
        char verb[16];
        int fd, rest;
        if (sscanf(line, "%15s %d %n", verb, &fd, &rest) < 2) return 2;
        char* words = line + rest;
        ssize_t result = 0;
        if (strcmp(verb, "say") == 0 || strcmp(verb, "put") == 0) {
            size_t length = strlen(words);
            if (verb[0] == 's') words[length++] = '\n';
            result = write(fd, words, length);
        } else if (strcmp(verb, "close") == 0) {
            result = close(fd);
        } else {
            size_t size = strtoul(words, &words, 10);
            char* bytes = numbered_lines(size, strtol(words, NULL, 10));
            if (strcmp(verb, "block") == 0) {
                result = write(fd, bytes, size);
            } else {
                char name[] = "/tmp/writer-XXXXXX";
                int file = mkstemp(name);
                if (file < 0) die(name);
                unlink(name);
                write_all(file, bytes, size);
                off_t from = 0;
                result = sendfile(fd, file, &from, size);
                close(file);
            }
            free(bytes);
        }
        say(ANSWERS, "%zd %s\n", result, result < 0 ? strerror(errno) : "ok");
    }
    return 0;
}

const struct writer_case puppet_cases[] = {
    {"puppet", "", run_puppet},
    {NULL, NULL, NULL},
};
