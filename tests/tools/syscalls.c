/* Each system call that writes from user memory, and each way in which it can stop short. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "writer.h"

enum { MIB = 1 << 20 };

static int run_write(int argc, char** argv) {
    long lines = number(argc, argv, 1, 1000);
    for (long i = 0; i < lines; i++) say(1, "line %ld by write\n", i);
    return 0;
}

/* Lines of an exact length with a running number: what a burst test counts. */
static int run_burst(int argc, char** argv) {
    long lines = number(argc, argv, 1, 100000);
    size_t size = (size_t)number(argc, argv, 2, 501);
    char* line = text(size, 0);
    line[size - 1] = '\n';
    for (long i = 0; i < lines; i++) {
        char digits[24];
        snprintf(digits, sizeof digits, "%09ld ", i);
        memcpy(line, digits, 10);
        write_all(1, line, size);
    }
    free(line);
    return 0;
}

/* 1024 segments, the most the kernel takes; every third is empty. */
static int run_writev(int argc, char** argv) {
    (void)argc, (void)argv;
    enum { SEGMENTS = 1024 };
    static char lines[SEGMENTS][48];
    struct iovec segments[SEGMENTS];
    for (int round = 0; round < 4; round++) {
        size_t total = 0;
        for (int i = 0; i < SEGMENTS; i++) {
            int n = i % 3 == 2 ? 0
                               : snprintf(lines[i], sizeof lines[i], "round %d segment %d%s", round,
                                          i, i % 3 == 1 ? "\n" : " and ");
            segments[i].iov_base = i % 3 == 2 ? NULL : lines[i];
            segments[i].iov_len = (size_t)n;
            total += (size_t)n;
        }
        ssize_t written = writev(1, segments, SEGMENTS);
        if (written < 0 || (size_t)written != total) die("writev");
    }
    return 0;
}

/* pwritev2 is the one positioned call that a pipe accepts, with offset -1. */
static int run_pwritev2(int argc, char** argv) {
    (void)argc, (void)argv;
    for (int i = 0; i < 200; i++) {
        char head[32];
        int n = snprintf(head, sizeof head, "pwritev2 %d ", i);
        struct iovec segments[3] = {{head, (size_t)n}, {NULL, 0}, {(char[]){"tail\n"}, 5}};
        if (pwritev2(1, segments, 3, -1, 0) < 0) die("pwritev2");
    }
    return 0;
}

/* Positioned writes fail on a pipe: the error must not be counted as output. */
static int run_espipe(int argc, char** argv) {
    (void)argc, (void)argv;
    say(1, "before\n");
    ssize_t refused = pwrite(1, "never seen\n", 11, 0);
    say(1, "pwrite gave %zd, %s\n", refused, strerror(errno));
    return 0;
}

static int run_mib(int argc, char** argv) {
    long writes = number(argc, argv, 1, 4);
    char* block = text(MIB, 3);
    for (size_t i = 99; i < MIB; i += 100) block[i] = '\n';
    for (long i = 0; i < writes; i++) write_all(1, block, MIB);
    free(block);
    return 0;
}

static int run_nonblock(int argc, char** argv) {
    (void)argc, (void)argv;
    if (fcntl(1, F_SETFL, O_NONBLOCK) < 0) die("fcntl");
    char* block = text(MIB, 5);
    for (size_t i = 76; i < MIB; i += 77) block[i] = '\n';
    size_t done = 0;
    while (done < MIB) {
        ssize_t n = write(1, block + done, MIB - done);
        if (n < 0 && errno != EAGAIN) die("write");
        if (n > 0) done += (size_t)n;
        struct pollfd wait = {.fd = 1, .events = POLLOUT};
        poll(&wait, 1, -1);
    }
    free(block);
    return 0;
}

static volatile sig_atomic_t alarms;
static void on_alarm(int signal) {
    (void)signal;
    alarms++;
}

/* A handler interrupts writes that wait for room; with `restart` the kernel repeats the call
 * itself. */
static int run_signal(int argc, char** argv) {
    struct sigaction action = {.sa_handler = on_alarm};
    if (argc > 1 && strcmp(argv[1], "restart") == 0) action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    struct itimerval every = {{0, 300}, {0, 300}};
    setitimer(ITIMER_REAL, &every, NULL);
    char* block = text(MIB, 7);
    for (size_t i = 100; i < MIB; i += 101) block[i] = '\n';
    for (int i = 0; i < 4; i++) write_all(1, block, MIB);
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    free(block);
    return alarms > 0 ? 0 : 4;
}

/* The third segment cannot be read: the call ends short, or fails, and only what went in counts. */
static int run_efault(int argc, char** argv) {
    (void)argc, (void)argv;
    void* bad = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bad == MAP_FAILED) die("mmap");
    char* one = text(3000, 1);
    char* two = text(5000, 2);
    struct iovec segments[4] = {{one, 3000}, {two, 5000}, {bad, 1000}, {one, 3000}};
    ssize_t written = writev(1, segments, 4);
    int error = written < 0 ? errno : 0;
    say(1, "\nwritev gave %zd (%d)\n", written, error);
    written = write(1, bad, 100);
    say(1, "write gave %zd (%s)\n", written, strerror(errno));
    free(one);
    free(two);
    return 0;
}

const struct writer_case syscall_cases[] = {
    {"write", "[LINES]", run_write}, {"burst", "[LINES [BYTES]]", run_burst},
    {"writev", "", run_writev},      {"pwritev2", "", run_pwritev2},
    {"espipe", "", run_espipe},      {"mib", "[WRITES]", run_mib},
    {"nonblock", "", run_nonblock},  {"signal", "[restart]", run_signal},
    {"efault", "", run_efault},      {NULL, NULL, NULL},
};
