/* Prints lines on order, so that one container serves all rounds of a benchmark. An order is a line
 * "SIZE BLOCK COUNT SECONDS RATE" in the FIFO DIRECTORY/orders: lines of SIZE bytes, newline
 * included, BLOCK of them with each write(2), COUNT of them (0: no limit) within at most SECONDS
 * (0: no limit), RATE a second (0: as fast as they are taken). Each is answered with "LINES
 * NANOSECONDS" in the FIFO DIRECTORY/reports. Ends with the orders. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { DIGITS = 10 };

struct order {
    size_t size;
    unsigned long long block, count;
    double seconds, rate;
};

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

static FILE* open_in(const char* directory, const char* name, const char* mode) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE* file = fopen(path, mode);
    if (!file) die(path);
    return file;
}

/* How many lines that were. */
static uint64_t print(const struct order* order) {
    const size_t size = order->size;
    const uint64_t block = order->block;
    char* lines = malloc(size * block);
    if (!lines) die("malloc");
    for (uint64_t i = 0; i < block; i++) fill(lines + i * size, size);

    const uint64_t start = wall_ns();
    const uint64_t limit = (uint64_t)(order->seconds * 1e9);
    uint64_t done = 0;
    while (order->count == 0 || done < order->count) {
        const uint64_t elapsed = wall_ns() - start;
        if (limit != 0 && elapsed >= limit) break;
        /* A pace is kept in steps of some milliseconds: shorter sleeps would cost more than lines.
         */
        if (order->rate > 0 && (double)done > order->rate * ((double)elapsed * 1e-9)) {
            sleep_until(start + (uint64_t)((double)done / order->rate * 1e9) + 2000000);
        }
        const uint64_t now =
            order->count != 0 && order->count - done < block ? order->count - done : block;
        for (uint64_t i = 0; i < now; i++) set_number(lines + i * size, size, done + i);
        write_all(STDOUT_FILENO, lines, now * size);
        done += now;
    }
    free(lines);
    return done;
}

int run_lines(int argc, char** argv) {
    (void)argc;
    FILE* orders = open_in(argv[1], "orders", "r");
    FILE* reports = open_in(argv[1], "reports", "w");
    struct order order;
    while (fscanf(orders, "%zu %llu %llu %lf %lf", &order.size, &order.block, &order.count,
                  &order.seconds, &order.rate) == 5) {
        if (order.size == 0 || order.block == 0 || (order.count == 0 && order.seconds <= 0)) {
            fprintf(stderr, "bench_tool: an order without size, block or end\n");
            return 2;
        }
        const uint64_t start = wall_ns();
        const uint64_t done = print(&order);
        fprintf(reports, "%llu %llu\n", (unsigned long long)done,
                (unsigned long long)(wall_ns() - start));
        fflush(reports);
    }
    return 0;
}
