/* The table of all cases and what they share. */
#include "writer.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct writer_case* const families[] = {
    syscall_cases, content_cases, file_cases,   process_cases, random_cases,
    move_cases,    ring_cases,    memory_cases, claim_cases,   puppet_cases};
enum { FAMILIES = sizeof families / sizeof families[0] };

_Noreturn void die(const char* what) {
    fprintf(stderr, "writer: %s: %s\n", what, strerror(errno));
    exit(3);
}

void write_all(int fd, const void* data, size_t size) {
    const char* at = data;
    while (size > 0) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, -1);
            continue;
        }
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) die("write");
        at += n;
        size -= (size_t)n;
    }
}

void say(int fd, const char* format, ...) {
    char line[8192];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof line) length = sizeof line - 1;
    write_all(fd, line, (size_t)length);
}

char* text(size_t size, unsigned seed) {
    char* bytes = malloc(size + 1);
    if (!bytes) die("malloc");
    for (size_t i = 0; i < size; i++) bytes[i] = (char)('!' + (i * 7 + i / 94 + seed) % 94);
    bytes[size] = 0;
    return bytes;
}

long number(int argc, char** argv, int index, long fallback) {
    return index < argc ? strtol(argv[index], NULL, 0) : fallback;
}

int main(int argc, char** argv) {
    for (int family = 0; family < FAMILIES && argc > 1; family++) {
        for (const struct writer_case* one = families[family]; one->name; one++) {
            if (strcmp(one->name, argv[1]) == 0) return one->run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "usage: writer CASE [ARGS], where CASE is one of\n");
    for (int family = 0; family < FAMILIES; family++) {
        for (const struct writer_case* one = families[family]; one->name; one++) {
            fprintf(stderr, "  %s %s\n", one->name, one->arguments);
        }
    }
    return 2;
}
