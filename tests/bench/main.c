/* Chooses the part of bench_tool that runs, and what they share. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

_Noreturn void die(const char* what) {
    fprintf(stderr, "bench_tool: %s: %s\n", what, strerror(errno));
    exit(3);
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t wall_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t cpu_ns(void) {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void write_all(int fd, const void* data, size_t size) {
    const char* at = data;
    while (size > 0) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) die("write");
        at += n;
        size -= (size_t)n;
    }
}

int main(int argc, char** argv) {
    if (argc == 4 && strcmp(argv[1], "calls") == 0) return run_calls(argc - 1, argv + 1);
    if (argc == 3 && strcmp(argv[1], "lines") == 0) return run_lines(argc - 1, argv + 1);
    if (argc == 5 && strcmp(argv[1], "crowd") == 0) return run_crowd(argc - 1, argv + 1);
    if (argc == 2 && strcmp(argv[1], "member") == 0) return run_member(argc - 1, argv + 1);
    if (argc == 4 && strcmp(argv[1], "copies") == 0) return run_copies(argc - 1, argv + 1);
    fprintf(stderr,
            "usage: bench_tool calls QUESTIONS_FD ANSWERS_FD\n"
            "       bench_tool lines DIRECTORY\n"
            "       bench_tool crowd COUNT RATE DIRECTORY\n"
            "       bench_tool copies SIZE COUNT\n");
    return 2;
}
