/* Output that a seed describes completely: sizes, contents, calls and streams. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "writer.h"

/* splitmix64: small, and the same on every machine. */
static uint64_t next(uint64_t* state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t size_of(uint64_t* state) {
    uint64_t r = next(state);
    size_t spread = (size_t)(next(state) % 5);
    switch (r % 8) {
        case 0:
            return (size_t)((r >> 8) % 4);
        case 1:
        case 2:
        case 3:
            return (size_t)((r >> 8) % 200);
        case 4:
            return (size_t)((r >> 8) % 5000);
        case 5:
            return 16384 - 2 + spread;
        case 6:
            return ((size_t)1 << ((r >> 8) % 17)) + spread;
        default:
            return (size_t)((r >> 8) % 100000);
    }
}

static void fill(char* bytes, size_t size, uint64_t* state) {
    uint64_t kind = next(state) % 5;
    for (size_t i = 0; i < size; i++) {
        uint64_t r = next(state);
        switch (kind) {
            case 0:
                bytes[i] = (char)r;
                break; /* anything */
            case 1:
                bytes[i] = r % 80 == 0 ? '\n' : (char)(' ' + r % 95);
                break; /* lines */
            case 2:
                bytes[i] = (char)('a' + r % 26);
                break; /* no end */
            case 3:
                bytes[i] = r % 2 ? '\n' : '\r';
                break; /* line ends */
            default:
                bytes[i] = i + 1 == size ? '\n' : (char)('A' + r % 26);
                break; /* one line */
        }
    }
}

static void put(int fd, char* bytes, size_t size, uint64_t* state) {
    if (next(state) % 3 == 0 && size > 2) {
        size_t cut = 1 + (size_t)(next(state) % (size - 1));
        struct iovec parts[3] = {{bytes, cut}, {NULL, 0}, {bytes + cut, size - cut}};
        ssize_t n = writev(fd, parts, 3);
        if (n < 0) die("writev");
        write_all(fd, bytes + n, size - (size_t)n);
    } else {
        write_all(fd, bytes, size);
    }
}

static int run_random(int argc, char** argv) {
    uint64_t state = (uint64_t)number(argc, argv, 1, 1);
    long writes = number(argc, argv, 2, 200);
    for (long i = 0; i < writes; i++) {
        size_t size = size_of(&state);
        char* bytes = malloc(size + 1);
        if (!bytes) die("malloc");
        fill(bytes, size, &state);
        put(next(&state) % 3 ? 1 : 2, bytes, size, &state);
        free(bytes);
    }
    return 0;
}

const struct writer_case random_cases[] = {
    {"random", "[SEED [WRITES]]", run_random},
    {NULL, NULL, NULL},
};
