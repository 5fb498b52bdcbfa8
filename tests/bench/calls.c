/* Times system calls, on demand, so that one and the same process is measured with and without
 * something watching it. Questions are lines "KIND SIZE COUNT", answers "WALL_NS CPU_NS", for all
 * of the calls. Kinds: `drained`, writes to stdout, a pipe that a child of ours empties on another
 * processor; `alone`, writes to stderr, a pipe that we empty ourselves while no clock runs; `null`,
 * writes to /dev/null; `getppid`. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

enum {
    LARGEST = 1 << 20,
    PIPE_SIZE = 1 << 20,
    BATCH = PIPE_SIZE / 2, /* of this much a pipe of 1 MiB has room, whatever the pieces */
};

struct cost {
    uint64_t wall, cpu;
};

static char buffer[LARGEST];
static int null_fd;
static int alone_fd;

static void pin(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    /* With one processor there is nothing to choose. */
    sched_setaffinity(0, sizeof set, &set);
}

static void start_drain(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) die("pipe");
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(1);
        close(ends[1]);
        while (read(ends[0], buffer, 32768) > 0) {
        }
        _exit(0);
    }
    if (dup2(ends[1], STDOUT_FILENO) < 0) die("dup2");
    close(ends[0]);
    close(ends[1]);
}

static void make_own_pipe(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) die("pipe");
    if (fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE) < 0) die("F_SETPIPE_SZ");
    if (dup2(ends[1], STDERR_FILENO) < 0) die("dup2");
    close(ends[1]);
    alone_fd = ends[0];
}

static void empty_own_pipe(size_t size) {
    while (size > 0) {
        ssize_t n = read(alone_fd, buffer, size < sizeof buffer ? size : sizeof buffer);
        if (n <= 0) die("read");
        size -= (size_t)n;
    }
}

static void write_many(int fd, size_t size, uint64_t count, struct cost* cost) {
    const uint64_t wall = wall_ns();
    const uint64_t cpu = cpu_ns();
    for (uint64_t i = 0; i < count; i++) write_all(fd, buffer, size);
    cost->cpu += cpu_ns() - cpu;
    cost->wall += wall_ns() - wall;
}

static struct cost answer(const char* kind, size_t size, uint64_t count) {
    struct cost cost = {0, 0};
    if (strcmp(kind, "drained") == 0) {
        write_many(STDOUT_FILENO, size, count, &cost);
    } else if (strcmp(kind, "null") == 0) {
        write_many(null_fd, size, count, &cost);
    } else if (strcmp(kind, "alone") == 0) {
        const uint64_t batch = BATCH / size;
        while (count > 0) {
            const uint64_t now = count < batch ? count : batch;
            write_many(STDERR_FILENO, size, now, &cost);
            empty_own_pipe(now * size);
            count -= now;
        }
    } else {
        const uint64_t wall = wall_ns();
        const uint64_t cpu = cpu_ns();
        for (uint64_t i = 0; i < count; i++) syscall(SYS_getppid);
        cost = (struct cost){wall_ns() - wall, cpu_ns() - cpu};
    }
    return cost;
}

int run_calls(int argc, char** argv) {
    (void)argc;
    FILE* questions = fdopen(atoi(argv[1]), "r");
    const int answers = atoi(argv[2]);
    if (!questions) die("fdopen");
    null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null_fd < 0) die("/dev/null");
    memset(buffer, 'x', sizeof buffer);
    start_drain();
    make_own_pipe();
    pin(0);
    char kind[16];
    size_t size;
    unsigned long long count;
    while (fscanf(questions, "%15s %zu %llu", kind, &size, &count) == 3) {
        if (size == 0 || size > BATCH) size = 1;
        const struct cost cost = answer(kind, size, count);
        dprintf(answers, "%llu %llu\n", (unsigned long long)cost.wall,
                (unsigned long long)cost.cpu);
    }
    return 0;
}
