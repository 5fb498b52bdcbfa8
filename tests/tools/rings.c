/* Writes that the kernel does for a program: io_uring (include/uapi/linux/io_uring.h) and Linux aio
 * (include/uapi/linux/aio_abi.h), by bare system calls. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "writer.h"

static const size_t ring_sizes[] = {1, 2, 77, 4095, 4096, 4097, 16384, 65536, 65537, 300000};
enum { RING_WRITES = sizeof ring_sizes / sizeof ring_sizes[0], LARGEST = 300000 };

/* One request at a time is under way. */
struct uring {
    int fd;
    unsigned flags;
    unsigned *sq_tail, *sq_mask, *sq_array, *sq_flags;
    unsigned *cq_head, *cq_tail, *cq_mask;
    struct io_uring_sqe* sqes;
    struct io_uring_cqe* cqes;
};

static void* map_ring(int fd, size_t size, long long offset) {
    void* at =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)offset);
    if (at == MAP_FAILED) die("mmap of io_uring");
    return at;
}

/* Ends with status 77 where the kernel or a seccomp profile refuses. */
static struct uring open_uring(unsigned flags) {
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    params.flags = flags;
    params.sq_thread_idle = 2000;
    struct uring ring = {.flags = flags};
    ring.fd = (int)syscall(SYS_io_uring_setup, 4, &params);
    if (ring.fd < 0) {
        fprintf(stderr, "writer: io_uring_setup: %s\n", strerror(errno));
        exit(CANNOT_RUN);
    }
    char* sq = map_ring(ring.fd, params.sq_off.array + params.sq_entries * sizeof(unsigned),
                        IORING_OFF_SQ_RING);
    char* cq =
        map_ring(ring.fd, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe),
                 IORING_OFF_CQ_RING);
    ring.sqes = map_ring(ring.fd, params.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    ring.sq_tail = (unsigned*)(sq + params.sq_off.tail);
    ring.sq_mask = (unsigned*)(sq + params.sq_off.ring_mask);
    ring.sq_array = (unsigned*)(sq + params.sq_off.array);
    ring.sq_flags = (unsigned*)(sq + params.sq_off.flags);
    ring.cq_head = (unsigned*)(cq + params.cq_off.head);
    ring.cq_tail = (unsigned*)(cq + params.cq_off.tail);
    ring.cq_mask = (unsigned*)(cq + params.cq_off.ring_mask);
    ring.cqes = (struct io_uring_cqe*)(cq + params.cq_off.cqes);
    return ring;
}

/* Submits the request and waits for its result. */
static int do_request(struct uring* ring, const struct io_uring_sqe* request) {
    unsigned tail = *ring->sq_tail;
    unsigned index = tail & *ring->sq_mask;
    ring->sqes[index] = *request;
    ring->sq_array[index] = index;
    __atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_SEQ_CST);
    unsigned submit = 1;
    unsigned flags = IORING_ENTER_GETEVENTS;
    if (ring->flags & IORING_SETUP_SQPOLL) {
        submit = 0;
        if (__atomic_load_n(ring->sq_flags, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP) {
            flags |= IORING_ENTER_SQ_WAKEUP;
        }
    }
    while (*ring->cq_head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE)) {
        if (syscall(SYS_io_uring_enter, ring->fd, submit, 1, flags, NULL, 0) < 0 && errno != EINTR)
            die("io_uring_enter");
        submit = 0;
    }
    int result = ring->cqes[*ring->cq_head & *ring->cq_mask].res;
    __atomic_store_n(ring->cq_head, *ring->cq_head + 1, __ATOMIC_RELEASE);
    return result;
}

enum uring_way { BY_WRITE, BY_WRITEV, BY_FIXED, BY_SEND, BY_SPLICE, WAYS };
static const char* const way_names[] = {"write", "writev", "fixed", "send", "splice"};

/* A pipe with as many of the bytes in it as it takes. */
static int pipe_with(const char* bytes, unsigned* size) {
    int ends[2];
    if (pipe(ends) < 0) die("pipe");
    if (*size > 65536) *size = 65536;
    write_all(ends[1], bytes, *size);
    close(ends[1]);
    return ends[0];
}

static void uring_write(struct uring* ring, enum uring_way way, unsigned char flags, char* bytes,
                        size_t size) {
    while (size > 0) {
        struct iovec parts[3] = {{bytes, size / 2}, {NULL, 0}, {bytes + size / 2, size - size / 2}};
        struct io_uring_sqe request;
        memset(&request, 0, sizeof request);
        request.fd = 1;
        request.flags = flags;
        request.off = (unsigned long long)-1;
        request.addr = (unsigned long long)(uintptr_t)bytes;
        request.len = (unsigned)size;
        request.opcode = IORING_OP_WRITE;
        if (way == BY_WRITEV) {
            request.opcode = IORING_OP_WRITEV;
            request.addr = (unsigned long long)(uintptr_t)parts;
            request.len = 3;
        } else if (way == BY_FIXED) {
            request.opcode = IORING_OP_WRITE_FIXED;
        } else if (way == BY_SEND) {
            request.opcode = IORING_OP_SEND;
            request.off = 0;
        } else if (way == BY_SPLICE) {
            request.opcode = IORING_OP_SPLICE;
            request.splice_fd_in = pipe_with(bytes, &request.len);
            request.splice_off_in = (unsigned long long)-1;
        }
        int written = do_request(ring, &request);
        if (way == BY_SPLICE) close(request.splice_fd_in);
        if (written == -EINTR || written == -EAGAIN) continue;
        if (written <= 0) {
            errno = -written;
            die("a request of io_uring");
        }
        bytes += written;
        size -= (size_t)written;
    }
}

static int run_uring(int argc, char** argv) {
    enum uring_way way = BY_WRITE;
    unsigned char flags = 0;
    unsigned setup = 0;
    for (int i = 1; i < argc; i++) {
        for (int known = 0; known < WAYS; known++) {
            if (strcmp(argv[i], way_names[known]) == 0) way = (enum uring_way)known;
        }
        if (strcmp(argv[i], "async") == 0) flags |= IOSQE_ASYNC;
        if (strcmp(argv[i], "sqpoll") == 0) setup |= IORING_SETUP_SQPOLL;
    }
    struct uring ring = open_uring(setup);
    char* buffer = mmap(NULL, LARGEST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED) die("mmap");
    struct iovec whole = {buffer, LARGEST};
    if (way == BY_FIXED &&
        syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &whole, 1) < 0) {
        fprintf(stderr, "writer: io_uring_register: %s\n", strerror(errno));
        return CANNOT_RUN;
    }
    for (int i = 0; i < RING_WRITES; i++) {
        say(1, "before %zu bytes by io_uring\n", ring_sizes[i]);
        char* bytes = text(ring_sizes[i], (unsigned)i);
        memcpy(buffer, bytes, ring_sizes[i]);
        free(bytes);
        if (i % 2 == 0) buffer[ring_sizes[i] - 1] = '\n';
        uring_write(&ring, way, flags, buffer, ring_sizes[i]);
        say(1, "after\n");
    }
    for (int i = 0; i < 300; i++) {
        int size = sprintf(buffer, "io_uring line %d\n", i);
        uring_write(&ring, way, flags, buffer, (size_t)size);
    }
    return 0;
}

static void aio_write(aio_context_t context, struct iocb* request, char* bytes, size_t size,
                      int vectors) {
    while (size > 0) {
        struct iovec parts[3] = {{bytes, size / 2}, {NULL, 0}, {bytes + size / 2, size - size / 2}};
        memset(request, 0, sizeof *request);
        request->aio_fildes = 1;
        request->aio_lio_opcode = vectors ? IOCB_CMD_PWRITEV : IOCB_CMD_PWRITE;
        request->aio_buf = (uintptr_t)(vectors ? (void*)parts : (void*)bytes);
        request->aio_nbytes = vectors ? 3 : size;
        struct io_event event;
        if (syscall(SYS_io_submit, context, 1, &request) != 1) die("io_submit");
        while (syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1) {
            if (errno != EINTR) die("io_getevents");
        }
        if (event.res <= 0) {
            errno = (int)-event.res;
            die("a request of aio");
        }
        bytes += event.res;
        size -= (size_t)event.res;
    }
}

static int run_aio(int argc, char** argv) {
    int vectors = argc > 1 && strcmp(argv[1], "writev") == 0;
    aio_context_t context = 0;
    if (syscall(SYS_io_setup, 4, &context) < 0) {
        fprintf(stderr, "writer: io_setup: %s\n", strerror(errno));
        return CANNOT_RUN;
    }
    struct iocb request;
    for (int i = 0; i < RING_WRITES; i++) {
        say(1, "before %zu bytes by aio\n", ring_sizes[i]);
        char* bytes = text(ring_sizes[i], (unsigned)i);
        if (i % 2 == 0) bytes[ring_sizes[i] - 1] = '\n';
        aio_write(context, &request, bytes, ring_sizes[i], vectors);
        free(bytes);
        say(1, "after\n");
    }
    return 0;
}

const struct writer_case ring_cases[] = {
    {"uring", "[write|writev|fixed|send|splice] [async] [sqpoll]", run_uring},
    {"aio", "[writev]", run_aio},
    {NULL, NULL, NULL},
};
