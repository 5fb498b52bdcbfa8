/* Who writes: threads, children, programs that replace each other or are killed. */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

const struct writer_case process_cases[] = {
    {"threads", "", run_threads}, {"forks", "", run_forks},     {"chain", "[LINKS]", run_chain},
    {"killed", "", run_killed},   {"forever", "", run_forever}, {"orphan", "", run_orphan},
    {NULL, NULL, NULL},
};
