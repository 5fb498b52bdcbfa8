/* Prints lines of SIZE bytes, newline included, BLOCK of them with each write(2): COUNT lines (0:
 * no limit) within at most SECONDS (0: no limit), RATE a second (0: as fast as they are taken).
 * Begins when somebody opens the FIFO DIRECTORY/begin, then writes "LINES NANOSECONDS" to
 * DIRECTORY/report and lives on until DIRECTORY/end is opened, so that one can look at what the
 * lines alone have cost others. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { DIGITS = 10 };

static void fill(char* line, size_t size) {
    for (size_t i = 0; i < size; i++) line[i] = (char)('a' + i % 26);
    line[size - 1] = '\n';
}

/* In place: printing it anew would be most of the work. */
static void set_number(char* line, size_t size, uint64_t number) {
    if (size <= DIGITS) return;
    for (int i = DIGITS - 1; i >= 0; i--, number /= 10) line[i] = (char)('0' + number % 10);
}

static void sleep_until(uint64_t when) {
    struct timespec time = {(time_t)(when / 1000000000u), (long)(when % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) {
    }
}

static void wait_for(const char* directory, const char* fifo) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, fifo);
    if (open(path, O_RDONLY) < 0) die(path);
}

static void report(const char* directory, uint64_t lines, uint64_t elapsed) {
    char path[PATH_MAX], part[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/report", directory);
    snprintf(part, sizeof part, "%s.part", path);
    FILE* file = fopen(part, "w");
    if (!file) die(part);
    fprintf(file, "%llu %llu\n", (unsigned long long)lines, (unsigned long long)elapsed);
    if (fclose(file) != 0 || rename(part, path) != 0) die(path);
}

int run_lines(int argc, char** argv) {
    (void)argc;
    const size_t size = strtoul(argv[1], NULL, 0);
    const uint64_t block = strtoull(argv[2], NULL, 0);
    const uint64_t count = strtoull(argv[3], NULL, 0);
    const double seconds = strtod(argv[4], NULL);
    const double rate = strtod(argv[5], NULL);
    if (size == 0 || block == 0 || (count == 0 && seconds <= 0)) return 2;
    char* lines = malloc(size * block);
    if (!lines) die("malloc");
    for (uint64_t i = 0; i < block; i++) fill(lines + i * size, size);

    wait_for(argv[6], "begin");
    const uint64_t start = wall_ns();
    const uint64_t limit = (uint64_t)(seconds * 1e9);
    uint64_t done = 0;
    while (count == 0 || done < count) {
        const uint64_t elapsed = wall_ns() - start;
        if (limit != 0 && elapsed >= limit) break;
        /* A pace is kept in steps of some milliseconds: shorter sleeps would cost more than lines.
         */
        if (rate > 0 && (double)done > rate * ((double)elapsed * 1e-9)) {
            sleep_until(start + (uint64_t)((double)done / rate * 1e9) + 2000000);
        }
        const uint64_t now = count != 0 && count - done < block ? count - done : block;
        for (uint64_t i = 0; i < now; i++) set_number(lines + i * size, size, done + i);
        write_all(STDOUT_FILENO, lines, now * size);
        done += now;
    }
    report(argv[6], done, wall_ns() - start);
    wait_for(argv[6], "end");
    return 0;
}
