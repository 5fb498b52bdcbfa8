/* Other file descriptors and other open files that are the same stream. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "writer.h"

static int run_dup(int argc, char** argv) {
    (void)argc, (void)argv;
    if (dup2(1, 7) < 0 || dup2(2, 200) < 0) die("dup2");
    close(1);
    close(2);
    for (int i = 0; i < 100; i++) {
        say(7, "stdout by fd 7, line %d\n", i);
        say(200, "stderr by fd 200, line %d\n", i);
    }
    return 0;
}

static void by_path(const char* path, int lines) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) die(path);
    for (int i = 0; i < lines; i++) say(fd, "by %s, line %d\n", path, i);
    close(fd);
}

static int run_reopen(int argc, char** argv) {
    (void)argc, (void)argv;
    by_path("/proc/self/fd/1", 20);
    by_path("/proc/self/fd/2", 20);
    by_path("/dev/stdout", 20);
    by_path("/dev/stderr", 20);
    by_path("/proc/1/fd/1", 20);
    return 0;
}

/* stderr joined to stdout: one file behind both numbers. */
static int run_joined(int argc, char** argv) {
    (void)argc, (void)argv;
    if (dup2(1, 2) < 0) die("dup2");
    for (int i = 0; i < 100; i++) say(1 + i % 2, "both are stdout, line %d\n", i);
    return 0;
}

/* stdout becomes other files and comes back: only what goes into the container's own is output. */
static int run_replaced(int argc, char** argv) {
    (void)argc, (void)argv;
    int own = dup(1);
    char name[] = "/tmp/writer-XXXXXX";
    int other = mkstemp(name);
    if (own < 0 || other < 0) die("a second file");
    unlink(name);
    for (int i = 0; i < 50; i++) {
        say(1, "line %d\n", i);
        if (dup2(other, 1) < 0) die("dup2");
        say(1, "not for the log\n");
        say(own, "line %d by a copy\n", i);
        if (dup2(own, 1) < 0) die("dup2");
        say(1, "line %d again\n", i);
        close(1);
        int lowest = open("/dev/null", O_WRONLY);
        say(lowest, "not for the log either\n");
        if (dup2(own, 1) < 0) die("dup2");
        by_path("/dev/stdout", 1);
        close(1);
        if (write(1, "nowhere\n", 8) >= 0) return 4;
        if (dup2(own, 1) < 0) die("dup2");
    }
    return 0;
}

static int run_interleaved(int argc, char** argv) {
    long lines = number(argc, argv, 1, 1000);
    for (long i = 0; i < lines; i++) say(1 + (int)(i % 2), "line %ld\n", i);
    return 0;
}

static void send_fd(int socket, int fd) {
    char byte = 0;
    struct iovec data = {&byte, 1};
    char control[CMSG_SPACE(sizeof fd)];
    memset(control, 0, sizeof control);
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    if (sendmsg(socket, &message, 0) != 1) die("sendmsg");
}

static int receive_fd(int socket) {
    char byte;
    struct iovec data = {&byte, 1};
    char control[CMSG_SPACE(sizeof(int))];
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    if (recvmsg(socket, &message, 0) != 1) die("recvmsg");
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

/* The child has no stdout of its own; it gets the parent's over a socket. */
static int run_passed(int argc, char** argv) {
    (void)argc, (void)argv;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) die("socketpair");
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        close(0);
        close(1);
        close(2);
        int fd = receive_fd(pair[1]);
        for (int i = 0; i < 100; i++) say(fd, "by a passed descriptor, line %d\n", i);
        _exit(0);
    }
    send_fd(pair[0], 1);
    waitpid(child, NULL, 0);
    say(1, "the child is done\n");
    return 0;
}

const struct writer_case file_cases[] = {
    {"dup", "", run_dup},       {"reopen", "", run_reopen},
    {"joined", "", run_joined}, {"interleaved", "[LINES]", run_interleaved},
    {"passed", "", run_passed}, {"replaced", "", run_replaced},
    {NULL, NULL, NULL},
};
