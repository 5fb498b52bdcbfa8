/* System calls that move bytes to stdout without a buffer of the program, mixed with plain writes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "writer.h"

static const size_t move_sizes[] = {1,     2,     100,   4095,  4096,   4097,   10000,
                                    16384, 65535, 65536, 65537, 200000, 1 << 20};
enum { MOVES = sizeof move_sizes / sizeof move_sizes[0], PIPE_ROOM = 65536 };

/* Lines of 64 bytes; the last may be open. */
static char* lines_of(size_t size, unsigned seed) {
    char* bytes = text(size, seed);
    for (size_t i = 63; i < size; i += 64) bytes[i] = '\n';
    return bytes;
}

/* A file without a name that holds them, at its beginning. */
static int file_of(size_t size, unsigned seed) {
    char name[] = "/tmp/writer-XXXXXX";
    int fd = mkstemp(name);
    if (fd < 0) die(name);
    unlink(name);
    char* bytes = lines_of(size, seed);
    write_all(fd, bytes, size);
    free(bytes);
    if (lseek(fd, 0, SEEK_SET) < 0) die("lseek");
    return fd;
}

/* A pipe's read end with the bytes in it. */
static int pipe_of(const char* bytes, size_t size) {
    int ends[2];
    if (pipe(ends) < 0) die("pipe");
    write_all(ends[1], bytes, size);
    close(ends[1]);
    return ends[0];
}

/* Moves at most `left` bytes from the file to stdout. */
typedef ssize_t (*mover)(int from, size_t left);

static void move_all(const char* name, mover move, int from, size_t size) {
    while (size > 0) {
        ssize_t moved = move(from, size);
        if (moved < 0 && errno == EINTR) continue;
        if (moved <= 0) die(name);
        size -= (size_t)moved;
    }
}

static int mix(const char* name, mover move) {
    for (int i = 0; i < MOVES; i++) {
        say(1, "before %zu bytes by %s\n", move_sizes[i], name);
        int file = file_of(move_sizes[i], (unsigned)i);
        move_all(name, move, file, move_sizes[i]);
        close(file);
        say(1, "after\n");
    }
    return 0;
}

static ssize_t move_by_sendfile(int from, size_t left) {
    return sendfile(1, from, NULL, left);
}

static int run_sendfile(int argc, char** argv) {
    (void)argc, (void)argv;
    return mix("sendfile", move_by_sendfile);
}

static ssize_t move_by_splice(int from, size_t left) {
    return splice(from, NULL, 1, NULL, left, 0);
}

static int run_splice(int argc, char** argv) {
    (void)argc, (void)argv;
    return mix("splice", move_by_splice);
}

/* From another pipe, which is how the bytes come to any kind of stdout. */
static int run_splice_pipe(int argc, char** argv) {
    (void)argc, (void)argv;
    for (int i = 0; i < MOVES && move_sizes[i] < PIPE_ROOM; i++) {
        say(1, "before %zu bytes from a pipe\n", move_sizes[i]);
        char* bytes = lines_of(move_sizes[i], (unsigned)i);
        int from = pipe_of(bytes, move_sizes[i]);
        move_all("splice", move_by_splice, from, move_sizes[i]);
        close(from);
        free(bytes);
        say(1, "after\n");
    }
    return 0;
}

/* What tee doubles stays in its source: as little as stdout has room for would come again. */
static int run_tee(int argc, char** argv) {
    (void)argc, (void)argv;
    for (int i = 0; i < MOVES && move_sizes[i] <= 4096; i++) {
        say(1, "before %zu bytes by tee\n", move_sizes[i]);
        char* bytes = lines_of(move_sizes[i], (unsigned)i);
        int from = pipe_of(bytes, move_sizes[i]);
        if (tee(from, 1, move_sizes[i], 0) != (ssize_t)move_sizes[i]) die("tee");
        close(from);
        free(bytes);
        say(1, "after\n");
    }
    return 0;
}

/* The pages go into the pipe themselves, so they are never changed again. */
static int run_vmsplice(int argc, char** argv) {
    (void)argc, (void)argv;
    for (int i = 0; i < MOVES; i++) {
        say(1, "before %zu bytes by vmsplice\n", move_sizes[i]);
        char* bytes =
            mmap(NULL, move_sizes[i], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (bytes == MAP_FAILED) die("mmap");
        char* lines = lines_of(move_sizes[i], (unsigned)i);
        memcpy(bytes, lines, move_sizes[i]);
        free(lines);
        struct iovec left[2] = {{bytes, move_sizes[i] / 3},
                                {bytes + move_sizes[i] / 3, move_sizes[i] - move_sizes[i] / 3}};
        while (left[0].iov_len + left[1].iov_len > 0) {
            ssize_t moved = vmsplice(1, left, 2, 0);
            if (moved < 0 && errno == EINTR) continue;
            if (moved <= 0) die("vmsplice");
            for (int part = 0; part < 2; part++) {
                size_t gone =
                    (size_t)moved < left[part].iov_len ? (size_t)moved : left[part].iov_len;
                left[part].iov_base = (char*)left[part].iov_base + gone;
                left[part].iov_len -= gone;
                moved -= (ssize_t)gone;
            }
        }
        say(1, "after\n");
    }
    return 0;
}

static ssize_t move_by_copy(int from, size_t left) {
    return copy_file_range(from, NULL, 1, NULL, left, 0);
}

/* Only where stdout is a regular file that was not opened to append. */
static int run_copy_file_range(int argc, char** argv) {
    (void)argc, (void)argv;
    return mix("copy_file_range", move_by_copy);
}

/* Only where stdout is a socket: one message, and several by one call. */
static int run_messages(int argc, char** argv) {
    (void)argc, (void)argv;
    for (int i = 0; i < MOVES; i++) {
        say(1, "before %zu bytes in messages\n", move_sizes[i]);
        char* bytes = lines_of(move_sizes[i], (unsigned)i);
        size_t third = move_sizes[i] / 3;
        struct iovec parts[4] = {{bytes, third},
                                 {NULL, 0},
                                 {bytes + third, third},
                                 {bytes + 2 * third, move_sizes[i] - 2 * third}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 4};
        size_t sent = 0;
        while (sent < move_sizes[i]) {
            ssize_t n = sendmsg(1, &message, 0);
            if (n <= 0) die("sendmsg");
            sent += (size_t)n;
            message.msg_iov = parts;
            message.msg_iovlen = 1;
            parts[0] = (struct iovec){bytes + sent, move_sizes[i] - sent};
        }
        struct mmsghdr several[3];
        memset(several, 0, sizeof several);
        struct iovec words[3] = {
            {(char[]){"one "}, 4}, {(char[]){"two "}, 4}, {(char[]){"three\n"}, 6}};
        for (int n = 0; n < 3; n++) {
            several[n].msg_hdr.msg_iov = words + n;
            several[n].msg_hdr.msg_iovlen = 1;
        }
        if (sendmmsg(1, several, 3, 0) != 3) die("sendmmsg");
        free(bytes);
    }
    return 0;
}

/* Only where stdout is a socket: one call that names a million buffers, nearly all of them empty.
 */
static int run_buffers(int argc, char** argv) {
    (void)argc, (void)argv;
    enum { MOST = 1024 }; /* UIO_MAXIOV */
    static struct iovec parts[MOST];
    static struct mmsghdr messages[MOST];
    parts[MOST - 1] = (struct iovec){(char[]){"a line\n"}, 7};
    for (int i = 0; i < MOST; i++) {
        messages[i].msg_hdr.msg_iov = parts;
        messages[i].msg_hdr.msg_iovlen = MOST;
    }
    for (int sent = 0; sent < MOST;) {
        int n = sendmmsg(1, messages + sent, (unsigned)(MOST - sent), 0);
        if (n <= 0) die("sendmmsg");
        sent += n;
    }
    return 0;
}

const struct writer_case move_cases[] = {
    {"sendfile", "", run_sendfile},
    {"splice", "", run_splice},
    {"splice-pipe", "", run_splice_pipe},
    {"tee", "", run_tee},
    {"vmsplice", "", run_vmsplice},
    {"copy-file-range", "", run_copy_file_range},
    {"messages", "", run_messages},
    {"buffers", "", run_buffers},
    {NULL, NULL, NULL},
};
