/* Where the written bytes lie, and what happens to that memory while they are written. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "writer.h"

enum { BLOCK = 1 << 20, HUGE_PAGE = 2 << 20 };

static atomic_int stop_changing;
static char* changed;

/* Two patterns with line ends at different places, in turn. */
static void* keep_changing(void* unused) {
    (void)unused;
    for (unsigned round = 0; !stop_changing; round++) {
        size_t line = round % 2 ? 100 : 37;
        for (size_t i = 0; i < BLOCK; i++) {
            changed[i] = i % line == line - 1 ? '\n' : (char)('A' + round % 26);
        }
    }
    return NULL;
}

/* Another thread rewrites the buffer all the time: what goes into the pipe is neither what was
 * there before the call nor what is there after it. */
static int run_changing(int argc, char** argv) {
    long writes = number(argc, argv, 1, 4);
    changed = text(BLOCK, 0);
    pthread_t thread;
    if (pthread_create(&thread, NULL, keep_changing, NULL) != 0) die("pthread_create");
    for (long i = 0; i < writes; i++) {
        write_all(1, changed, BLOCK);
        say(1, "\nwrite %ld is done\n", i);
    }
    stop_changing = 1;
    pthread_join(thread, NULL);
    free(changed);
    return 0;
}

static void* unmap(void* start) {
    while (!atomic_load((atomic_int*)start)) continue;
    munmap(changed, BLOCK);
    return NULL;
}

/* Another thread takes the buffer away during the write, which then ends short. */
static int run_unmapped(int argc, char** argv) {
    long rounds = number(argc, argv, 1, 20);
    for (long i = 0; i < rounds; i++) {
        changed = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (changed == MAP_FAILED) die("mmap");
        char* lines = text(BLOCK, (unsigned)i);
        memcpy(changed, lines, BLOCK);
        free(lines);
        atomic_int start = 0;
        pthread_t thread;
        if (pthread_create(&thread, NULL, unmap, &start) != 0) die("pthread_create");
        start = 1;
        ssize_t written = write(1, changed, BLOCK);
        pthread_join(thread, NULL);
        say(1, "\nround %ld wrote %zd\n", i, written);
    }
    return 0;
}

static void write_lines(char* bytes, size_t size, unsigned seed, void (*prepare)(char*, size_t)) {
    for (size_t i = 0; i < size; i++) {
        bytes[i] = i % 80 == 79 ? '\n' : (char)('a' + (i / 80 + i + seed) % 26);
    }
    if (prepare) prepare(bytes, size);
    write_all(1, bytes, size);
}

/* Pages of a file that are not in memory when the write begins. */
static int run_cold_file(int argc, char** argv) {
    (void)argc, (void)argv;
    for (size_t size = 1; size <= BLOCK; size = size * 8 + 3) {
        char name[] = "/tmp/writer-XXXXXX";
        int fd = mkstemp(name);
        if (fd < 0) die(name);
        unlink(name);
        char* bytes = text(size, (unsigned)size);
        bytes[size - 1] = '\n';
        write_all(fd, bytes, size);
        free(bytes);
        if (fsync(fd) < 0) die("fsync");
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        void* cold = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (cold == MAP_FAILED) die("mmap");
        write_all(1, cold, size);
        munmap(cold, size);
        close(fd);
    }
    return 0;
}

/* Memory that nobody has touched: it reads as zeros. */
static int run_untouched(int argc, char** argv) {
    (void)argc, (void)argv;
    char* zeros = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (zeros == MAP_FAILED) die("mmap");
    write_all(1, zeros, 5000);
    say(1, "\n");
    write_all(1, zeros + 8192, 300000);
    say(1, "\nend of zeros\n");
    return 0;
}

static int run_huge_pages(int argc, char** argv) {
    (void)argc, (void)argv;
    char* huge = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (huge == MAP_FAILED) {
        fprintf(stderr, "writer: no huge page: %s\n", strerror(errno));
        return CANNOT_RUN;
    }
    write_lines(huge, HUGE_PAGE, 1, NULL);
    write_lines(huge + 4093, 100003, 2, NULL);
    return 0;
}

static void page_out(char* bytes, size_t size) {
    if (madvise(bytes, size, MADV_PAGEOUT) < 0) die("madvise");
}

/* Sent to swap where there is any, right before the write. */
static int run_paged_out(int argc, char** argv) {
    (void)argc, (void)argv;
    char* bytes = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) die("mmap");
    for (unsigned i = 0; i < 4; i++) write_lines(bytes, BLOCK, i, page_out);
    return 0;
}

/* As many segments as the kernel takes, most of them empty, each in a page of its own. */
static int run_far_segments(int argc, char** argv) {
    (void)argc, (void)argv;
    enum { SEGMENTS = 1024, PAGE = 4096 };
    char* pages = mmap(NULL, (size_t)SEGMENTS * PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) die("mmap");
    struct iovec segments[SEGMENTS];
    for (int round = 0; round < 8; round++) {
        size_t total = 0;
        for (int i = 0; i < SEGMENTS; i++) {
            char* at = pages + (size_t)i * PAGE;
            size_t size = 0;
            if (i % (round + 2) == 0) size = (size_t)sprintf(at, "round %d segment %d\n", round, i);
            segments[i] = (struct iovec){at, size};
            total += size;
        }
        ssize_t written = writev(1, segments, SEGMENTS);
        if (written != (ssize_t)total) die("writev");
    }
    return 0;
}

const struct writer_case memory_cases[] = {
    {"changing", "[WRITES]", run_changing}, {"unmapped", "[ROUNDS]", run_unmapped},
    {"cold-file", "", run_cold_file},       {"untouched", "", run_untouched},
    {"huge-pages", "", run_huge_pages},     {"paged-out", "", run_paged_out},
    {"far-segments", "", run_far_segments}, {NULL, NULL, NULL},
};
