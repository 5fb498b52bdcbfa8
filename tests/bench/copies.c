/* How long the processor takes to copy records of SIZE bytes one after the other into a ring of 64
 * MiB, as a record of a write has to be copied at least once. Prints bytes and nanoseconds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { RING = 64 << 20 };

int run_copies(int argc, char** argv) {
    (void)argc;
    const size_t size = strtoul(argv[1], NULL, 0);
    const uint64_t count = strtoull(argv[2], NULL, 0);
    if (size == 0 || size > RING || count == 0) return 2;
    char* ring = malloc(RING);
    char* record = malloc(size);
    if (!ring || !record) die("malloc");
    memset(record, 'x', size);
    memset(ring, 0, RING); /* the first to touch a page pays for it */
    const uint64_t start = wall_ns();
    size_t at = 0;
    for (uint64_t i = 0; i < count; i++) {
        memcpy(ring + at, record, size);
        __asm__ volatile("" ::: "memory"); /* somebody reads it, says this to the compiler */
        at = at + 2 * size <= RING ? at + size : 0;
    }
    printf("%llu %llu\n", (unsigned long long)(size * count),
           (unsigned long long)(wall_ns() - start));
    return 0;
}
