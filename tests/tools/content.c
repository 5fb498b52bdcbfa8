/* What is written: lengths around the limits, bytes that text tools stumble over. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "writer.h"

static void line_of(size_t size, unsigned seed) {
    char* line = text(size, seed);
    line[size] = '\n'; /* in the place of the terminating zero */
    write_all(1, line, size + 1);
    free(line);
}

/* Docker cuts at 16 KiB, a pipe holds 64 KiB. */
static int run_sizes(int argc, char** argv) {
    (void)argc, (void)argv;
    for (size_t power = 1; power <= 131072; power *= 2) {
        for (int delta = -1; delta <= 1; delta++) {
            line_of(power + (size_t)delta, (unsigned)power);
        }
    }
    line_of(40000, 1);
    line_of(3 * 16384, 2);
    return 0;
}

/* Every power of two up to 1 MiB and its neighbours, each one write from an odd address. */
static int run_powers(int argc, char** argv) {
    (void)argc, (void)argv;
    for (unsigned k = 0; k <= 20; k++) {
        for (int delta = -1; delta <= 1; delta++) {
            size_t size = ((size_t)1 << k) + (size_t)delta;
            char* bytes = text(size + k, k);
            if (size > 0 && k % 2 == 0) bytes[k + size - 1] = '\n';
            write_all(1, bytes + k, size);
            free(bytes);
        }
    }
    return 0;
}

/* What looks like an entry of a log file, a record of ours or a message about one, but is output.
 */
static int run_forged(int argc, char** argv) {
    (void)argc, (void)argv;
    static const char frame[] =
        "\0\0\0\x18\x0a\x06stderr\x10\x80\x80\xe8\xc9\xbd\xe8\x93\xfb\x16\x1a\x04"
        "fake\0\0\0\x18";
    static const char framed_gap[] = "\0\0\0\x0d\x0a\x06stdout\xda\x3e\x02\x08\x7f\0\0\0\x0d";
    static const char record[72] = "\x01\0\0\0\0\0\0\0\x01";
    for (int i = 0; i < 30; i++) {
        write_all(1, frame, sizeof frame - 1);
        write_all(1, framed_gap, sizeof framed_gap - 1);
        say(1, "\n");
        write_all(1, frame, sizeof frame - 1);
        write_all(2, record, sizeof record);
        say(1, "{\"log\":\"fake\\n\",\"stream\":\"stderr\",\"time\":\"2020-01-01T00:00:00Z\"}\n");
        say(1, "2020-01-01T00:00:00.000000000Z stderr F fake\n");
        say(1, "2020-01-01T00:00:00.000000000Z stdout P half a line ");
        say(1, "twinlog: web: stdout: 5 bytes lost here: written faster than they were taken\n");
        write_all(2, "\033[2J\033]0;title\007\r\n\0\n", 18);
    }
    return 0;
}

/* As fast as it can until the file is there, or so many blocks of 1 MiB are written; then says on
 * stderr how many bytes it was. */
static int run_flood(int argc, char** argv) {
    if (argc < 2) return 2;
    char block[65536];
    for (size_t i = 0; i < sizeof block; i += 32) {
        memset(block + i, 'a' + (int)(i / 32 % 26), 31);
        block[i + 31] = '\n';
    }
    unsigned long long written = 0;
    long left = number(argc, argv, 2, LONG_MAX);
    do {
        for (int i = 0; i < 16; i++) write_all(1, block, sizeof block);
        written += 16 * sizeof block;
    } while (--left > 0 && access(argv[1], F_OK) != 0);
    say(2, "%llu\n", written);
    return 0;
}

/* One length, `repeat` times; `open` leaves the last line without its newline. */
static int run_length(int argc, char** argv) {
    size_t size = (size_t)number(argc, argv, 1, 16384);
    long repeat = number(argc, argv, 2, 3);
    for (long i = 0; i < repeat; i++) line_of(size, (unsigned)i);
    if (argc > 3 && strcmp(argv[3], "open") == 0) {
        char* rest = text(size, 9);
        write_all(1, rest, size);
        free(rest);
    }
    return 0;
}

/* A line that comes byte by byte, and one cut between two writes at every place. */
static int run_pieces(int argc, char** argv) {
    (void)argc, (void)argv;
    const char line[] = "put together from pieces\n";
    for (size_t i = 0; i < sizeof line - 1; i++) write_all(1, line + i, 1);
    for (size_t cut = 1; cut < sizeof line - 1; cut++) {
        write_all(1, line, cut);
        write_all(1, line + cut, sizeof line - 1 - cut);
    }
    return 0;
}

static int run_nul(int argc, char** argv) {
    (void)argc, (void)argv;
    write_all(1, "a\0b\n\0\n\0\0\0\nend\0\n", 15);
    char zeros[5000] = {0};
    write_all(1, zeros, sizeof zeros);
    write_all(1, "\n", 1);
    return 0;
}

static int run_utf8(int argc, char** argv) {
    (void)argc, (void)argv;
    say(1,
        "gr\303\274\303\237e \342\202\254 \360\237\220\263 \342\200\250 \342\200\251 <&> \\ \" "
        "\177\n");
    say(2, "\316\261\316\262\316\263\t\033[1mbold\033[0m\b\f\v\n");
    return 0;
}

static int run_invalid_utf8(int argc, char** argv) {
    (void)argc, (void)argv;
    const char* lines[] = {"\377\376\n",         "\303\n",
                           "\355\240\200\n",     "\300\257\n",
                           "\364\220\200\200\n", "ok \342\202 cut\n",
                           "\200\200\200\200\n", "\360\237\220"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        write_all(1, lines[i], strlen(lines[i]));
    }
    return 0;
}

static int run_bytes(int argc, char** argv) {
    (void)argc, (void)argv;
    unsigned char all[256];
    for (int i = 0; i < 256; i++) all[i] = (unsigned char)i;
    for (int i = 0; i < 40; i++) {
        write_all(1, all, sizeof all);
        write_all(2, all + i, sizeof all - (size_t)i);
    }
    return 0;
}

static int run_crlf(int argc, char** argv) {
    (void)argc, (void)argv;
    say(1, "dos line\r\n\r\n\rprogress 1\rprogress 2\r\n\r");
    return 0;
}

static int run_open_end(int argc, char** argv) {
    (void)argc, (void)argv;
    say(1, "a whole line\nno newline on stdout");
    say(2, "no newline on stderr");
    return 0;
}

static int run_empty_lines(int argc, char** argv) {
    (void)argc, (void)argv;
    say(1, "\n\n\nfirst\n\n");
    say(2, "\n");
    for (int i = 0; i < 300; i++) write_all(1, "\n", 1);
    if (write(1, "", 0) != 0) die("write of nothing");
    return 0;
}

/* What printf does when stdout is a pipe: whole buffers that end in the middle of lines. */
static int run_stdio(int argc, char** argv) {
    (void)argc, (void)argv;
    for (int i = 0; i < 5000; i++) printf("line %d of a buffered program, %*d\n", i, i % 50, i);
    fprintf(stderr, "unbuffered %s %d\n", "stderr", 1);
    printf("last without newline");
    return 0;
}

const struct writer_case content_cases[] = {
    {"flood", "FILE [BLOCKS]", run_flood},
    {"powers", "", run_powers},
    {"forged", "", run_forged},
    {"sizes", "", run_sizes},
    {"length", "[BYTES [REPEAT [open]]]", run_length},
    {"pieces", "", run_pieces},
    {"nul", "", run_nul},
    {"utf8", "", run_utf8},
    {"invalid-utf8", "", run_invalid_utf8},
    {"bytes", "", run_bytes},
    {"crlf", "", run_crlf},
    {"open-end", "", run_open_end},
    {"empty-lines", "", run_empty_lines},
    {"stdio", "", run_stdio},
    {NULL, NULL, NULL},
};
