/* ring OBJECT SIZE PID: the writes of SIZE bytes of a process, put into a ring by the programs of
 * ring.bpf.c, are taken out and dropped. Says "attached"; at the end of stdin "TAKEN DROPPED". */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned long long taken;

static int drop(void* context, void* data, size_t size) {
    (void)context;
    (void)data;
    (void)size;
    taken++;
    return 0;
}

static _Noreturn void fail(const char* what) {
    fprintf(stderr, "ring: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int stdin_ended(void) {
    struct pollfd stdin_poll = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&stdin_poll, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

int main(int argc, char** argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: ring OBJECT SIZE PID\n");
        return 2;
    }
    struct bpf_object* object = bpf_object__open_file(argv[1], NULL);
    if (!object) fail(argv[1]);
    size_t size = 0;
    unsigned* constants = (void*)(uintptr_t)bpf_map__initial_value(
        bpf_object__find_map_by_name(object, ".rodata"), &size);
    if (!constants || size < 2 * sizeof *constants) fail("constants");
    constants[0] = (unsigned)strtoul(argv[2], NULL, 0);
    constants[1] = (unsigned)strtoul(argv[3], NULL, 0);
    if (bpf_object__load(object) != 0) fail("load");
    struct bpf_program* program = bpf_object__next_program(object, NULL);
    if (!program || !bpf_program__attach(program)) fail("attach");
    struct ring_buffer* ring =
        ring_buffer__new(bpf_object__find_map_fd_by_name(object, "ring"), drop, NULL, NULL);
    if (!ring) fail("the ring");
    puts("attached");
    fflush(stdout);
    do {
        if (ring_buffer__poll(ring, 20) < 0 && errno != EINTR) fail("poll");
    } while (!stdin_ended());
    ring_buffer__consume(ring);
    unsigned long long dropped = 0;
    const unsigned zero = 0;
    bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(object, ".bss"), &zero, &dropped);
    printf("%llu %llu\n", taken, dropped);
    return 0;
}
