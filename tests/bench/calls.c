/* Times system calls, on demand, so that one and the same process is measured with and without
 * something watching it. Questions are lines "KIND SIZE COUNT", answers "WALL_NS CPU_NS", for all
 * of the calls. Kinds: `drained`, writes to stdout, a pipe that a child of ours empties on another
 * processor; `alone`, writes to stderr, a pipe that we empty ourselves while no clock runs;
 * `spliced`, the same where it is emptied by splice(2), so that nobody sees what was in it;
 * `taken`, reads of what was written to that pipe while no clock ran; `null`, writes to /dev/null;
 * `file`, writes to a file, the same half MiB again and again; `getppid`. */
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
static int file_fd;

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

static void take(size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t n = read(alone_fd, buffer, size - done);
        if (n <= 0) die("read");
        done += (size_t)n;
    }
}

static void splice_away(size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t n = splice(alone_fd, NULL, null_fd, NULL, size - done, 0);
        if (n <= 0) die("splice");
        done += (size_t)n;
    }
}

static void put(size_t size) {
    write_all(STDERR_FILENO, buffer, size);
}

static void put_drained(size_t size) {
    write_all(STDOUT_FILENO, buffer, size);
}

static void put_nowhere(size_t size) {
    write_all(null_fd, buffer, size);
}

static void put_into_file(size_t size) {
    write_all(file_fd, buffer, size);
}

static void rewind_file(size_t size) {
    (void)size;
    if (lseek(file_fd, 0, SEEK_SET) < 0) die("lseek");
}

static void open_file(void) {
    FILE* file = tmpfile();
    if (!file) die("tmpfile");
    file_fd = fileno(file);
    /* The first to touch a page of it pays for that. */
    write_all(file_fd, buffer, BATCH);
    rewind_file(0);
}

static void ask(size_t size) {
    (void)size;
    syscall(SYS_getppid);
}

static void nothing(size_t size) {
    (void)size;
}

/* `timed` is what is measured, so often; what goes before and after a batch of it is not, and is
 * given the size of the batch. */
static const struct kind {
    const char* name;
    void (*before)(size_t size);
    void (*timed)(size_t size);
    void (*after)(size_t size);
} kinds[] = {
    {"drained", nothing, put_drained, nothing},    {"alone", nothing, put, take},
    {"spliced", nothing, put, splice_away},        {"taken", put, take, nothing},
    {"null", nothing, put_nowhere, nothing},       {"getppid", nothing, ask, nothing},
    {"file", nothing, put_into_file, rewind_file},
};

static struct cost measure(const struct kind* kind, size_t size, uint64_t count) {
    struct cost cost = {0, 0};
    const uint64_t batch = BATCH / size;
    while (count > 0) {
        const uint64_t now = count < batch ? count : batch;
        kind->before(now * size);
        const uint64_t wall = wall_ns();
        const uint64_t cpu = cpu_ns();
        for (uint64_t i = 0; i < now; i++) kind->timed(size);
        cost.cpu += cpu_ns() - cpu;
        cost.wall += wall_ns() - wall;
        kind->after(now * size);
        count -= now;
    }
    return cost;
}

static const struct kind* kind_of(const char* name) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    }
    fprintf(stderr, "bench_tool: nothing is called %s\n", name);
    exit(2);
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
    open_file();
    pin(0);
    char kind[16];
    size_t size;
    unsigned long long count;
    while (fscanf(questions, "%15s %zu %llu", kind, &size, &count) == 3) {
        if (size == 0 || size > BATCH) size = 1;
        const struct cost cost = measure(kind_of(kind), size, count);
        dprintf(answers, "%llu %llu\n", (unsigned long long)cost.wall,
                (unsigned long long)cost.cpu);
    }
    return 0;
}
