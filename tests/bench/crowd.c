/* Many containers without a runtime: COUNT processes, each the first of a pid namespace, in a
 * cgroup of its own below DIRECTORY, with a pipe for stdout that this process empties. Says
 * "ready", then obeys lines on stdin: `begin`, and each writes RATE lines of 100 bytes a second at
 * moments of its own; `end`, and they stop, and how many lines that were is the answer. Ends with
 * stdin, and takes processes and cgroups away. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { LINE = 100, CHUNK = 65536, EVENTS = 256, SHARED_FD = 3 };

/* Seen by all processes; a page apart, so that counting disturbs nobody who waits. */
struct shared {
    _Alignas(4096) atomic_int writing;
    _Alignas(4096) atomic_ullong lines;
};

struct member {
    pid_t pid;
    int output;
};

struct crowd {
    const char* rate;
    const char* directory;
    int shared_fd;
};

static void allow_many_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) die("setrlimit");
}

static void write_at_pace(struct shared* shared, double rate, unsigned number) {
    char line[LINE];
    memset(line, 'x', sizeof line);
    line[LINE - 1] = '\n';
    const uint64_t period = (uint64_t)(1e9 / rate);
    /* Spread over the period by the golden ratio, so that they do not all write at once. */
    uint64_t next = wall_ns() + (uint64_t)number * 2654435769u % period;
    while (atomic_load(&shared->writing)) {
        const struct timespec when = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
        write_all(STDOUT_FILENO, line, sizeof line);
        atomic_fetch_add(&shared->lines, 1);
        next += period;
        /* A host that cannot keep the pace gets what it can, no crowd of late lines. */
        if (next < wall_ns()) next = wall_ns() + period;
    }
}

static struct shared* map_shared(int fd) {
    struct shared* shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) die("mmap");
    return shared;
}

/* As a runtime starts a container's program: what has not exec'd is not yet one. */
static _Noreturn void become_member(const struct crowd* crowd, unsigned number, int output) {
    char text[16];
    snprintf(text, sizeof text, "%u", number);
    if (dup2(output, STDOUT_FILENO) < 0 || dup2(crowd->shared_fd, SHARED_FD) < 0) die("dup2");
    execl("/proc/self/exe", "bench_tool", "member", crowd->rate, text, (char*)NULL);
    die("exec");
}

int run_member(int argc, char** argv) {
    (void)argc;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct shared* shared = map_shared(SHARED_FD);
    const double rate = strtod(argv[1], NULL);
    const unsigned number = (unsigned)strtoul(argv[2], NULL, 0);
    for (;;) {
        syscall(SYS_futex, &shared->writing, FUTEX_WAIT, 0, NULL, NULL, 0);
        write_at_pace(shared, rate, number);
    }
}

static struct member make_member(const struct crowd* crowd, unsigned number) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/member-%05u", crowd->directory, number);
    if (mkdir(path, 0755) != 0) die(path);
    const int cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cgroup < 0) die(path);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) die("pipe");
    struct clone_args arguments = {
        .flags = CLONE_NEWPID | CLONE_INTO_CGROUP,
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)cgroup,
    };
    const pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid < 0) die("clone3");
    if (pid == 0) become_member(crowd, number, ends[1]);
    close(cgroup);
    close(ends[1]);
    return (struct member){pid, ends[0]};
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

/* Obeys what has come on stdin; whether there is more to come. */
static int obey(struct shared* shared) {
    char text[64];
    const ssize_t size = read(STDIN_FILENO, text, sizeof text - 1);
    if (size <= 0) return 0;
    text[size] = 0;
    if (strcmp(text, "begin\n") == 0) {
        atomic_store(&shared->lines, 0);
        atomic_store(&shared->writing, 1);
        syscall(SYS_futex, &shared->writing, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    } else {
        atomic_store(&shared->writing, 0);
        printf("%llu\n", (unsigned long long)atomic_load(&shared->lines));
        fflush(stdout);
    }
    return 1;
}

static void serve(struct shared* shared, int epoll) {
    static char chunk[CHUNK];
    struct epoll_event events[EVENTS];
    for (;;) {
        const int count = epoll_wait(epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == STDIN_FILENO) {
                if (!obey(shared)) return;
            } else if (read(events[i].data.fd, chunk, sizeof chunk) <= 0) {
                die("a member's pipe");
            }
        }
    }
}

int run_crowd(int argc, char** argv) {
    (void)argc;
    const unsigned count = (unsigned)strtoul(argv[1], NULL, 0);
    if (count == 0 || strtod(argv[2], NULL) <= 0) return 2;
    allow_many_files();
    const struct crowd crowd = {argv[2], argv[3], memfd_create("crowd", 0)};
    if (crowd.shared_fd < 0 || ftruncate(crowd.shared_fd, sizeof(struct shared)) != 0) die("memfd");
    struct shared* shared = map_shared(crowd.shared_fd);
    struct member* members = calloc(count, sizeof *members);
    if (!members) die("memory");
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) die("epoll_create1");
    watch(epoll, STDIN_FILENO);
    for (unsigned i = 0; i < count; i++) {
        members[i] = make_member(&crowd, i);
        watch(epoll, members[i].output);
    }
    puts("ready");
    fflush(stdout);
    serve(shared, epoll);
    for (unsigned i = 0; i < count; i++) kill(members[i].pid, SIGKILL);
    while (wait(NULL) > 0) {
    }
    return 0;
}
