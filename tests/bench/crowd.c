/* Many containers without a runtime: COUNT processes that sleep, each the first of a pid namespace,
 * in a cgroup of its own below DIRECTORY, with a pipe for stdout that this process empties. Says
 * "ready", then obeys lines on stdin: `begin`, and RATE lines of 100 bytes a second go into each
 * pipe; `end`, and how many lines that were is the answer. Ends with stdin, and its processes with
 * it; the cgroups are the caller's to remove. One thread writes for all of them: a thousand
 * processes that wake up ten times a second would be more work for the host than what is measured.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { LINE = 100, CHUNK = 65536, EVENTS = 256, TICK_NS = 5000000 };

struct member {
    pid_t pid;
    int input, output;
};

struct crowd {
    struct member* members;
    unsigned count;
    double rate;
    atomic_int writing;
    atomic_ullong lines;
};

static void allow_many_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) die("setrlimit");
}

static void sleep_tick(void) {
    const struct timespec tick = {0, TICK_NS};
    nanosleep(&tick, NULL);
}

/* Lines of a second, spread over its ticks; one pipe after the other. */
static void* write_lines(void* argument) {
    struct crowd* crowd = argument;
    char line[LINE];
    memset(line, 'x', sizeof line);
    line[LINE - 1] = '\n';
    const double pace = crowd->rate * crowd->count * 1e-9; /* lines a nanosecond */
    unsigned next = 0;
    uint64_t begun = wall_ns(), done = 0;
    for (;;) {
        sleep_tick();
        const uint64_t now = wall_ns();
        uint64_t due = (uint64_t)((double)(now - begun) * pace) - done;
        /* A host that cannot keep the pace gets what it can, no crowd of late lines. */
        if (!atomic_load(&crowd->writing) || due > crowd->count) {
            begun = now;
            due = done = 0;
        }
        for (uint64_t i = 0; i < due; i++, next = (next + 1) % crowd->count) {
            write_all(crowd->members[next].input, line, sizeof line);
        }
        done += due;
        atomic_fetch_add(&crowd->lines, due);
    }
    return NULL;
}

/* As a runtime starts a container's program: what has not exec'd is not yet one. */
static _Noreturn void become_member(int output) {
    if (dup2(output, STDOUT_FILENO) < 0) die("dup2");
    execl("/proc/self/exe", "bench_tool", "member", (char*)NULL);
    die("exec");
}

int run_member(int argc, char** argv) {
    (void)argc;
    (void)argv;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
}

static struct member make_member(const char* directory, unsigned number) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/member-%05u", directory, number);
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
    if (pid == 0) become_member(ends[1]);
    close(cgroup);
    return (struct member){pid, ends[1], ends[0]};
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

/* Obeys what has come on stdin; whether there is more to come. */
static int obey(struct crowd* crowd) {
    char text[64];
    const ssize_t size = read(STDIN_FILENO, text, sizeof text - 1);
    if (size <= 0) return 0;
    text[size] = 0;
    if (strcmp(text, "begin\n") == 0) {
        atomic_store(&crowd->lines, 0);
        atomic_store(&crowd->writing, 1);
    } else {
        atomic_store(&crowd->writing, 0);
        printf("%llu\n", (unsigned long long)atomic_load(&crowd->lines));
        fflush(stdout);
    }
    return 1;
}

static void serve(struct crowd* crowd, int epoll) {
    static char chunk[CHUNK];
    struct epoll_event events[EVENTS];
    for (;;) {
        const int count = epoll_wait(epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == STDIN_FILENO) {
                if (!obey(crowd)) return;
            } else if (read(events[i].data.fd, chunk, sizeof chunk) <= 0) {
                die("a member's pipe");
            }
        }
    }
}

int run_crowd(int argc, char** argv) {
    (void)argc;
    struct crowd crowd = {.count = (unsigned)strtoul(argv[1], NULL, 0),
                          .rate = strtod(argv[2], NULL)};
    if (crowd.count == 0 || crowd.rate <= 0) return 2;
    allow_many_files();
    crowd.members = calloc(crowd.count, sizeof *crowd.members);
    if (!crowd.members) die("calloc");
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) die("epoll_create1");
    watch(epoll, STDIN_FILENO);
    for (unsigned i = 0; i < crowd.count; i++) {
        crowd.members[i] = make_member(argv[3], i);
        watch(epoll, crowd.members[i].output);
    }
    pthread_t writer;
    errno = pthread_create(&writer, NULL, write_lines, &crowd);
    if (errno != 0) die("pthread_create");
    puts("ready");
    fflush(stdout);
    serve(&crowd, epoll);
    for (unsigned i = 0; i < crowd.count; i++) kill(crowd.members[i].pid, SIGKILL);
    while (wait(NULL) > 0) {
    }
    /* The writer writes until there is no process any more. */
    exit(0);
}
