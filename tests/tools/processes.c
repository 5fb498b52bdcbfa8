/* Who writes: threads, children, programs that replace each other or are killed. */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "writer.h"

/* Lines "NAME N LINE xxx…" of changing length, none above PIPE_BUF, so that the kernel never mixes
 * two of them. */
static void numbered(const char* name, int writer, int lines) {
    char padding[4000];
    memset(padding, 'a' + writer % 26, sizeof padding);
    for (int i = 0; i < lines; i++) {
        say(1, "%s %d %d %.*s\n", name, writer, i, (i * 131 + writer * 977) % 4001, padding);
    }
}

static void* one_thread(void* argument) {
    numbered("thread", (int)(intptr_t)argument, 400);
    return NULL;
}

static int run_threads(int argc, char** argv) {
    (void)argc, (void)argv;
    pthread_t threads[8];
    for (intptr_t i = 0; i < 8; i++) {
        if (pthread_create(&threads[i], NULL, one_thread, (void*)i) != 0) die("pthread_create");
    }
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    return 0;
}

static int run_forks(int argc, char** argv) {
    (void)argc, (void)argv;
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child < 0) die("fork");
        if (child == 0) {
            numbered("child", i, 100);
            _exit(0);
        }
    }
    while (wait(NULL) > 0) continue;
    return 0;
}

/* All start at once; lines "WRITER LINE xxx" of one exact length. */
static int run_many(int argc, char** argv) {
    int writers = (int)number(argc, argv, 1, 64);
    long lines = number(argc, argv, 2, 300);
    size_t size = (size_t)number(argc, argv, 3, 60);
    int gate[2];
    if (pipe(gate) < 0) die("pipe");
    for (int i = 0; i < writers; i++) {
        pid_t child = fork();
        if (child < 0) die("fork");
        if (child > 0) continue;
        char byte;
        close(gate[1]);
        if (read(gate[0], &byte, 1) != 0) die("read");
        char* line = text(size, (unsigned)i);
        line[size - 1] = '\n';
        for (long n = 0; n < lines; n++) {
            char head[32];
            memcpy(line, head, (size_t)snprintf(head, sizeof head, "%02d %06ld ", i, n));
            write_all(1, line, size);
        }
        _exit(0);
    }
    close(gate[1]);
    while (wait(NULL) > 0) continue;
    return 0;
}

/* Two processes of different names that take turns, so who wrote which line is known. */
static int run_turns(int argc, char** argv) {
    long lines = number(argc, argv, 1, 100);
    int there[2], back[2];
    char byte = 0;
    if (pipe(there) < 0 || pipe(back) < 0) die("pipe");
    pid_t child = fork();
    if (child < 0) die("fork");
    prctl(PR_SET_NAME, child == 0 ? "second" : "first");
    for (long i = 0; i < lines; i++) {
        if (child == 0 && read(there[0], &byte, 1) != 1) die("read");
        const char* name = child == 0 ? "second" : "first";
        if (i % 2 == 0) {
            say(1, "%s %d writes line %ld\n", name, getpid(), i);
        } else {
            int file = memfd_create("line", MFD_CLOEXEC);
            say(file, "%s %d sends line %ld\n", name, getpid(), i);
            off_t size = lseek(file, 0, SEEK_CUR);
            if (lseek(file, 0, SEEK_SET) < 0) die("lseek");
            if (sendfile(1, file, NULL, (size_t)size) != size) die("sendfile");
            close(file);
        }
        write_all(child == 0 ? back[1] : there[1], &byte, 1);
        if (child != 0 && read(back[0], &byte, 1) != 1) die("read");
    }
    if (child == 0) _exit(0);
    waitpid(child, NULL, 0);
    return 0;
}

/* Every link says its number and then becomes, or starts by vfork, the next one. */
static int run_chain(int argc, char** argv) {
    long left = number(argc, argv, 1, 10);
    say(1, "link %ld\n", left);
    say(2, "link %ld on stderr\n", left);
    if (left == 0) return 0;
    char next[24];
    snprintf(next, sizeof next, "%ld", left - 1);
    char* arguments[] = {(char[]){"writer"}, argv[0], next, NULL};
    if (left % 2 == 0) {
        execv("/proc/self/exe", arguments);
        die("execv");
    }
    pid_t child = vfork();
    if (child < 0) die("vfork");
    if (child == 0) {
        execv("/proc/self/exe", arguments);
        _exit(127);
    }
    waitpid(child, NULL, 0);
    return 0;
}

_Noreturn static void flood(int tell) {
    char* block = text(1 << 20, 11);
    for (size_t i = 63; i < 1 << 20; i += 64) block[i] = '\n';
    for (long i = 0;; i++) {
        write_all(1, block, 1 << 20);
        if (i == 2) write_all(tell, "x", 1);
    }
}

/* A child is killed in the middle of its writes, once it has written 3 MiB. */
static int run_killed(int argc, char** argv) {
    (void)argc, (void)argv;
    int told[2];
    if (pipe(told) < 0) die("pipe");
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) flood(told[1]);
    char byte;
    if (read(told[0], &byte, 1) != 1) die("read");
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    say(1, "\nkilled by signal %d\n", WTERMSIG(status));
    return 0;
}

/* Writes until something from outside ends it. */
static int run_forever(int argc, char** argv) {
    (void)argc, (void)argv;
    for (unsigned long i = 0; i < ULONG_MAX; i++) say(1, "line %lu of a program without end\n", i);
    return 0;
}

/* Ends while a child still writes: pid 1's death takes the child along. */
static int run_orphan(int argc, char** argv) {
    (void)argc, (void)argv;
    int told[2];
    if (pipe(told) < 0) die("pipe");
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) flood(told[1]);
    char byte;
    if (read(told[0], &byte, 1) != 1) die("read");
    return 0;
}

/* Runs the command with a socket as its stdout, and copies to our own what comes out of it until
 * nobody holds it any more. */
static int run_through_socket(int argc, char** argv) {
    int pair[2];
    if (argc < 2) return 2;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) die("socketpair");
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        if (dup2(pair[1], 1) < 0) die("dup2");
        close(pair[0]);
        close(pair[1]);
        execvp(argv[1], argv + 1);
        die(argv[1]);
    }
    close(pair[1]);
    char bytes[65536];
    for (ssize_t got; (got = read(pair[0], bytes, sizeof bytes)) > 0;) {
        write_all(1, bytes, (size_t)got);
    }
    int status;
    if (waitpid(child, &status, 0) < 0) die("waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void allow_files(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0) die("getrlimit");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0) die("setrlimit");
}

/* Until it ends. */
static void read_all(int fd) {
    char byte;
    while (read(fd, &byte, 1) > 0) continue;
}

_Noreturn static int sleeper(void* argument) {
    (void)argument;
    for (;;) pause();
}

/* Has stdout open many times, in a table that many processes share, until stdin ends. */
static int run_shared(int argc, char** argv) {
    enum { STACK = 16384, MOST = 1024 };
    static char stacks[MOST][STACK];
    static pid_t children[MOST];
    long files = number(argc, argv, 1, 1000);
    long processes = number(argc, argv, 2, 10);
    allow_files();
    for (long i = 0; i < files; i++) {
        if (dup(1) < 0) die("dup");
    }
    for (long i = 0; i < processes && i < MOST; i++) {
        children[i] = clone(sleeper, stacks[i] + STACK, CLONE_FILES | SIGCHLD, NULL);
        if (children[i] < 0) die("clone");
    }
    say(1, "ready\n");
    read_all(0);
    for (long i = 0; i < processes && i < MOST; i++) kill(children[i], SIGKILL);
    while (wait(NULL) > 0) continue;
    return 0;
}

/* Ends when stdin does; a child that has stdout open only at a high number says a word more once
 * another one does. */
static int run_high(int argc, char** argv) {
    int high = (int)number(argc, argv, 1, 1000);
    allow_files();
    int until = (int)number(argc, argv, 2, 3);
    if (dup2(1, high) < 0) die("dup2");
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child > 0) {
        close(high);
        read_all(0);
        return 0;
    }
    close(1);
    say(high, "ready\n");
    read_all(until);
    say(high, "late\n");
    return 0;
}

const struct writer_case process_cases[] = {
    {"threads", "", run_threads},
    {"forks", "", run_forks},
    {"chain", "[LINKS]", run_chain},
    {"many", "[WRITERS [LINES [BYTES]]]", run_many},
    {"turns", "[LINES]", run_turns},
    {"killed", "", run_killed},
    {"forever", "", run_forever},
    {"orphan", "", run_orphan},
    {"through-socket", "COMMAND…", run_through_socket},
    {"shared", "[FILES [PROCESSES]]", run_shared},
    {"high", "[FD [UNTIL_FD]]", run_high},
    {NULL, NULL, NULL},
};
