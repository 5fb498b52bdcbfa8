/* Calls that claim to have written to stdout what never came there. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
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

/* Tells a write of this many bytes from the others. */
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

static void take_claimed_writes(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 0, 3),
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
    take_claimed_writes();
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

const struct writer_case claim_cases[] = {
    {"exchanged", "", run_exchanged},
    {"answered", "", run_answered},
    {NULL, NULL, NULL},
};
