/* Calls that claim to have written to stdout what never came there, or to have read from it what
 * never was in it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "writer.h"

enum { BLOCK = 1 << 20, CLAIMS = 9, LINES = 5 };

static void say_lines(const char* when) {
    for (int i = 0; i < LINES; i++) {
        say(1, "line %d %s\n", i, when);
        say(2, "line %d %s\n", i, when);
    }
}

struct write_call {
    int fd;
    char* bytes;
};

static void* write_block(void* argument) {
    const struct write_call* call = argument;
    if (write(call->fd, call->bytes, BLOCK) != BLOCK) die("write");
    return NULL;
}

/* Into a pipe of our own; before the call is over, its descriptor is made stdout. */
static void claim_by_exchange(char* bytes) {
    int ends[2];
    if (pipe(ends) < 0) die("pipe");
    const int room = fcntl(ends[1], F_GETPIPE_SZ);
    struct write_call call = {dup(ends[1]), bytes};
    if (call.fd < 0) die("dup");
    pthread_t thread;
    if (pthread_create(&thread, NULL, write_block, &call) != 0) die("pthread_create");
    for (int full = 0; full < room;) {
        if (ioctl(ends[0], FIONREAD, &full) < 0) die("FIONREAD");
    }
    if (dup2(1, call.fd) < 0) die("dup2");
    char* taken = malloc(BLOCK);
    for (size_t done = 0; done < BLOCK;) {
        ssize_t got = read(ends[0], taken, BLOCK);
        if (got <= 0) die("read");
        done += (size_t)got;
    }
    pthread_join(thread, NULL);
    free(taken);
    close(ends[0]);
    close(ends[1]);
    close(call.fd);
}

static int run_exchanged(int argc, char** argv) {
    (void)argc, (void)argv;
    char* bytes = text(BLOCK, 1);
    for (size_t i = 99; i < BLOCK; i += 100) bytes[i] = '\n';
    say_lines("before");
    for (int i = 0; i < CLAIMS; i++) {
        claim_by_exchange(bytes);
        say_lines("after a claim");
    }
    free(bytes);
    return 0;
}

enum { FORGED_SIZE = 1 << 19, FORGED = 4 };

struct read_call {
    int fd, into;
    bool splice;
    atomic_int thread;
};

static void* read_block(void* argument) {
    struct read_call* call = argument;
    char* bytes = malloc(FORGED_SIZE);
    call->thread = gettid();
    const ssize_t got = call->splice ? splice(call->fd, NULL, call->into, NULL, FORGED_SIZE, 0)
                                     : read(call->fd, bytes, FORGED_SIZE);
    if (got < 0) die("read");
    free(bytes);
    return NULL;
}

static bool sleeps(int thread) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    FILE* file = fopen(path, "r");
    if (file == NULL) die(path);
    const bool read = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    const char* state = read ? strrchr(text, ')') : NULL;
    return state != NULL && state[2] == 'S';
}

/* From a pipe of our own; before there is anything in it, the descriptor is made stdout's other
 * end. Nothing to be read: the reader is told the end. */
static void claim_read(int stdout_end, bool by_splice, size_t size) {
    int ends[2], into[2];
    if (pipe(ends) < 0 || pipe(into) < 0 || fcntl(ends[1], F_SETPIPE_SZ, FORGED_SIZE) < 0)
        die("pipe");
    struct read_call call = {.fd = dup(ends[0]), .into = into[1], .splice = by_splice};
    if (call.fd < 0) die("dup");
    pthread_t thread;
    if (pthread_create(&thread, NULL, read_block, &call) != 0) die("pthread_create");
    while (call.thread == 0 || !sleeps(call.thread)) sched_yield();
    if (dup2(stdout_end, call.fd) < 0) die("dup2");
    char* bytes = malloc(FORGED_SIZE);
    memset(bytes, 'F', FORGED_SIZE);
    for (size_t i = 99; i < FORGED_SIZE; i += 100) bytes[i] = '\n';
    if (size > 0 && write(ends[1], bytes, size) != (ssize_t)size) die("write");
    close(ends[1]);
    pthread_join(thread, NULL);
    free(bytes);
    close(ends[0]);
    close(into[0]);
    close(into[1]);
    close(call.fd);
}

static int run_reads(int argc, char** argv) {
    (void)argc, (void)argv;
    const int stdout_end = open("/proc/self/fd/1", O_RDONLY | O_NONBLOCK);
    if (stdout_end < 0) die("/proc/self/fd/1");
    say_lines("before");
    for (int i = 0; i < FORGED; i++) {
        claim_read(stdout_end, false, 100);
        say_lines("after a claim");
        claim_read(stdout_end, false, FORGED_SIZE);
        say_lines("after a large one");
        claim_read(stdout_end, true, 100);
        say_lines("after a splice");
        claim_read(stdout_end, false, 0);
    }
    say_lines("before the end");
    claim_read(stdout_end, false, 0);
    return 0;
}

/* Tells a call for this many bytes from the others. */
enum { CLAIMED_SIZE = 12345 };

static int notifier;
static atomic_llong claimed;

static void* answer_calls(void* unused) {
    (void)unused;
    for (;;) {
        struct seccomp_notif call;
        memset(&call, 0, sizeof call);
        if (ioctl(notifier, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) die("SECCOMP_IOCTL_NOTIF_RECV");
        struct seccomp_notif_resp response = {.id = call.id, .val = claimed};
        if (ioctl(notifier, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0) die("its answer");
    }
    return NULL;
}

static void take_claimed(int call) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLAIMED_SIZE, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) die("PR_SET_NO_NEW_PRIVS");
    notifier = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                            &program);
    if (notifier < 0) {
        perror("writer: seccomp");
        exit(CANNOT_RUN);
    }
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer_calls, NULL) != 0) die("pthread_create");
}

/* A thread of ours answers for the kernel: so many bytes were written. */
static int run_answered(int argc, char** argv) {
    static const long long claims[] = {1, 8 << 20, 1LL << 31, 1LL << 40};
    (void)argc, (void)argv;
    static char bytes[CLAIMED_SIZE];
    take_claimed(SYS_write);
    say_lines("before");
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        claimed = claims[i];
        const ssize_t done = write(1, bytes, sizeof bytes);
        /* Nothing else comes for so long that whoever believes it must do something about it. */
        usleep(300000);
        say(1, "%zd bytes were claimed\n", done);
        say_lines("after it");
    }
    return 0;
}

static int run_reads_answered(int argc, char** argv) {
    static const long long claims[] = {1, CLAIMED_SIZE, 0, 1LL << 31, 1LL << 40};
    (void)argc, (void)argv;
    static char bytes[CLAIMED_SIZE];
    memset(bytes, 'F', sizeof bytes);
    const int stdout_end = open("/proc/self/fd/1", O_RDONLY | O_NONBLOCK);
    if (stdout_end < 0) die("/proc/self/fd/1");
    take_claimed(SYS_read);
    say_lines("before");
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        claimed = claims[i];
        say(1, "%zd bytes were claimed\n", read(stdout_end, bytes, sizeof bytes));
        say_lines("after it");
    }
    claimed = 0;
    return (int)read(stdout_end, bytes, sizeof bytes);
}

const struct writer_case claim_cases[] = {
    {"exchanged", "", run_exchanged},
    {"answered", "", run_answered},
    {"reads-exchanged", "", run_reads},
    {"reads-answered", "", run_reads_answered},
    {NULL, NULL, NULL},
};
