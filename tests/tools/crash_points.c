/* Stops the daemon at a chosen point, without a build of its own: preloaded, it stands between the
 * program and libc. Points are before, in the middle of (where bytes are written) and after each
 * call that changes a file of the store, a pin or a BPF map, and before and after each store into
 * what the daemon shares with the kernel by mapped memory: the rings' consumer positions and the
 * streams' states. Those pages are made read-only; who stores into one faults, and is let through
 * for one instruction.
 *
 * A life ends by SIGKILL at the first point that none has ended at before, so lives that are
 * started one after another end at all of them, until one goes through. Environment: CRASH_STORE
 * files below it count CRASH_VISITED  file of the points where lives ended: read at the start,
 * appended to before the end CRASH_TIMES    each point counts so many times in a life: its first
 * passing, its second, … (1)
 * CRASH_ONLY     the one point that counts, as it is written into CRASH_VISITED without its number
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    LABEL = 160,
    POINTS = 4096,
    REGIONS = 8,
    PAGE = 4096,
    TRAP_FLAG = 0x100,  /* of the flags register: an exception after the next instruction */
    STATE_SIZE = 128,   /* sizeof(struct tw_state) */
    HIGHEST_NUMBER = 2, /* of rotated files that are told apart */
};

struct point {
    char label[LABEL];
    int passed; /* in this life */
};

struct region {
    char name[BPF_OBJ_NAME_LEN];
    char* begin;
    size_t size;
};

static struct point points[POINTS];
static char (*visited)[LABEL];
static int visited_count, times = 1;
static const char* only;
static int visited_file = -1;
static const char* store;
static pid_t owner;
static struct region regions[REGIONS];
static int region_count;
static struct region* opened; /* for the instruction that runs now */
static char opened_label[LABEL];
static int busy; /* a lock: two threads pass points */

/* Past libc, which would come here again. Leaves errno alone. */
static long direct(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#define DIRECT(number, a, b, c) direct(number, (long)(a), (long)(b), (long)(c), 0, 0, 0)

/* As libc tells a result. */
static long told(long result) {
    if (result < 0 && result >= -4095) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

static bool active(void) {
    return store && visited_file >= 0 && DIRECT(SYS_getpid, 0, 0, 0) == owner;
}

static bool was_visited(const char* label) {
    for (int i = 0; i < visited_count; i++) {
        if (strcmp(visited[i], label) == 0) return true;
    }
    return false;
}

/* Whether this life ends here; then the point is noted already. */
static bool ends_here(const char* when, const char* what) {
    char label[LABEL];
    snprintf(label, sizeof label, "%s %s", when, what);
    if (only && strcmp(label, only) != 0) return false;
    while (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE)) DIRECT(SYS_sched_yield, 0, 0, 0);
    struct point* point = points;
    while (point->label[0] && strcmp(point->label, label) != 0 && point < points + POINTS - 1)
        point++;
    if (!point->label[0]) strcpy(point->label, label);
    bool ends = ++point->passed <= times;
    if (ends) {
        char numbered[LABEL + 16];
        snprintf(numbered, sizeof numbered, "%.140s #%d", label, point->passed);
        ends = !was_visited(numbered);
        strcat(numbered, "\n");
        if (ends) DIRECT(SYS_write, visited_file, numbered, strlen(numbered));
    }
    /* The other thread must not note a second one. */
    if (!ends) __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
    return ends;
}

static void end_life(void) {
    DIRECT(SYS_kill, owner, SIGKILL, 0);
    for (;;) DIRECT(SYS_pause, 0, 0, 0);
}

static void pass(const char* when, const char* what) {
    int before = errno;
    if (ends_here(when, what)) end_life();
    errno = before;
}

/* What a path is called here: container ids and all but the first rotated files are alike. False
 * for files that are not the store's and no pins. */
static bool name_path(const char* path, char* name) {
    bool pin = strncmp(path, "/sys/fs/bpf/", 12) == 0;
    if (!pin && strncmp(path, store, strlen(store)) != 0) return false;
    const char* from = strrchr(path, '/') + 1;
    const char* rotated = strstr(from, ".log.");
    size_t at = 0;
    if (pin) {
        /* One of ten is as good as another, but for what says that they are complete. */
        strcpy(name, strcmp(from, "about") == 0 ? "pin about" : "pin");
        return true;
    }
    while (*from && at < 64) {
        size_t hex = strspn(from, "0123456789abcdef");
        size_t digits = strspn(from, "0123456789");
        bool told_apart = digits == 1 && *from <= '0' + HIGHEST_NUMBER && rotated && from > rotated;
        if (hex >= 12 || (digits && !told_apart)) {
            name[at++] = hex >= 12 ? 'X' : 'N';
            from += hex >= 12 ? hex : digits;
        } else {
            name[at++] = *from++;
        }
    }
    name[at] = 0;
    return true;
}

static bool name_fd(int fd, char* name) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return false;
    path[size] = 0;
    return path[0] == '/' && name_path(path, name);
}

__attribute__((format(printf, 2, 3))) static void describe(char* label, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(label, LABEL - 16, format, arguments);
    va_end(arguments);
}

/* Calls that name a path */

static bool exists(const char* path) {
    struct stat status;
    return lstat(path, &status) == 0;
}

int rename(const char* from, const char* to) {
    char label[LABEL], from_name[LABEL], to_name[LABEL];
    if (!active() || !exists(from) || !name_path(from, from_name) || !name_path(to, to_name)) {
        return (int)told(DIRECT(SYS_rename, from, to, 0));
    }
    describe(label, "rename %s to %s", from_name, to_name);
    pass("before", label);
    int result = (int)told(DIRECT(SYS_rename, from, to, 0));
    pass("after", label);
    return result;
}

int unlink(const char* path) {
    char label[LABEL], name[LABEL];
    if (!active() || !exists(path) || !name_path(path, name))
        return (int)told(DIRECT(SYS_unlink, path, 0, 0));
    describe(label, "unlink %s", name);
    pass("before", label);
    int result = (int)told(DIRECT(SYS_unlink, path, 0, 0));
    pass("after", label);
    return result;
}

int unlinkat(int directory, const char* path, int flags) {
    char label[LABEL], name[LABEL];
    if (!active() || !(path[0] == '/' ? name_path(path, name) : name_fd(directory, name))) {
        return (int)told(DIRECT(SYS_unlinkat, directory, path, flags));
    }
    describe(label, "unlinkat %s %s", name, flags & AT_REMOVEDIR ? "directory" : "file");
    pass("before", label);
    int result = (int)told(DIRECT(SYS_unlinkat, directory, path, flags));
    pass("after", label);
    return result;
}

int mkdir(const char* path, mode_t mode) {
    char label[LABEL], name[LABEL];
    if (!active() || exists(path) || !name_path(path, name))
        return (int)told(DIRECT(SYS_mkdir, path, mode, 0));
    describe(label, "mkdir %s", name);
    pass("before", label);
    int result = (int)told(DIRECT(SYS_mkdir, path, mode, 0));
    pass("after", label);
    return result;
}

static int open_file(const char* path, int flags, mode_t mode) {
    char label[LABEL], name[LABEL];
    bool changes = (flags & O_TRUNC) || ((flags & O_CREAT) && !exists(path));
    if (!changes || !active() || !name_path(path, name))
        return (int)told(DIRECT(SYS_open, path, flags, mode));
    describe(label, "open %s", name);
    pass("before", label);
    int result = (int)told(DIRECT(SYS_open, path, flags, mode));
    pass("after", label);
    return result;
}

static mode_t mode_of(int flags, va_list arguments) {
    return flags & O_CREAT ? (mode_t)va_arg(arguments, int) : 0;
}

int open(const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_file(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_file(path, flags, mode);
}

/* Calls that name a descriptor */

ssize_t write(int fd, const void* bytes, size_t size) {
    char label[LABEL], name[LABEL];
    if (!active() || !name_fd(fd, name)) return told(DIRECT(SYS_write, fd, bytes, size));
    describe(label, "write %s", name);
    pass("before", label);
    if (size > 1 && ends_here("in", label)) {
        DIRECT(SYS_write, fd, bytes, size / 2);
        end_life();
    }
    ssize_t result = told(DIRECT(SYS_write, fd, bytes, size));
    pass("after", label);
    return result;
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
    char label[LABEL], name[LABEL];
    if (!active() || !name_fd(fd, name))
        return told(direct(SYS_pwrite64, fd, (long)bytes, (long)size, at, 0, 0));
    describe(label, "pwrite %s at %ld", name, (long)at);
    pass("before", label);
    /* Eight bytes that lie on their multiple reach the file at once. */
    if (size > 8 && ends_here("in", label)) {
        direct(SYS_pwrite64, fd, (long)bytes, (long)size / 2, at, 0, 0);
        end_life();
    }
    ssize_t result = told(direct(SYS_pwrite64, fd, (long)bytes, (long)size, at, 0, 0));
    pass("after", label);
    return result;
}

int ftruncate(int fd, off_t size) {
    char label[LABEL], name[LABEL];
    if (!active() || !name_fd(fd, name)) return (int)told(DIRECT(SYS_ftruncate, fd, size, 0));
    describe(label, "ftruncate %s", name);
    pass("before", label);
    int result = (int)told(DIRECT(SYS_ftruncate, fd, size, 0));
    pass("after", label);
    return result;
}

int fsync(int fd) {
    char label[LABEL], name[LABEL];
    if (!active() || !name_fd(fd, name)) return (int)told(DIRECT(SYS_fsync, fd, 0, 0));
    describe(label, "fsync %s", name);
    pass("before", label);
    int result = (int)told(DIRECT(SYS_fsync, fd, 0, 0));
    pass("after", label);
    return result;
}

/* BPF: what changes maps, links and pins. libbpf calls it by syscall(2). */

static long bpf(int command, union bpf_attr* attributes) {
    return DIRECT(SYS_bpf, command, attributes, sizeof(*attributes));
}

static bool map_info(int fd, struct bpf_map_info* info) {
    union bpf_attr attributes = {.info = {.bpf_fd = (uint32_t)fd,
                                          .info_len = sizeof(*info),
                                          .info = (uint64_t)(uintptr_t)info}};
    memset(info, 0, sizeof(*info));
    return bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes) == 0;
}

static bool name_bpf(int command, const union bpf_attr* attributes, char* label) {
    struct bpf_map_info info;
    char name[LABEL];
    switch (command) {
        case BPF_MAP_UPDATE_ELEM:
        case BPF_MAP_DELETE_ELEM:
            if (!map_info((int)attributes->map_fd, &info)) return false;
            describe(label, "bpf %s %s", command == BPF_MAP_UPDATE_ELEM ? "update" : "delete",
                     info.name);
            return true;
        case BPF_OBJ_PIN:
            if (!name_path((const char*)(uintptr_t)attributes->pathname, name)) return false;
            describe(label, "bpf %s", name);
            return true;
        case BPF_LINK_CREATE:
        case BPF_RAW_TRACEPOINT_OPEN:
            describe(label, "bpf attach");
            return true;
    }
    return false;
}

long syscall(long number, ...) {
    long arguments[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) arguments[i] = va_arg(list, long);
    va_end(list);
    char label[LABEL];
    bool point = number == SYS_bpf && active() &&
                 name_bpf((int)arguments[0], (const union bpf_attr*)arguments[1], label);
    if (point) pass("before", label);
    long result = told(direct(number, arguments[0], arguments[1], arguments[2], arguments[3],
                              arguments[4], arguments[5]));
    if (point) pass("after", label);
    return result;
}

/* Memory that the kernel sees */

static void guard(void* begin, size_t size, int protection, int flags, int fd, off_t at) {
    struct bpf_map_info info;
    if (begin == MAP_FAILED || fd < 0 || at != 0 || !(flags & MAP_SHARED) ||
        !(protection & PROT_WRITE) || region_count == REGIONS || !active() ||
        !map_info(fd, &info)) {
        return;
    }
    if (info.type != BPF_MAP_TYPE_RINGBUF && strcmp(info.name, "states") != 0) return;
    struct region* region = &regions[region_count++];
    memcpy(region->name, info.name, sizeof(region->name));
    region->begin = begin;
    region->size = (size + PAGE - 1) / PAGE * PAGE;
    if (mprotect(begin, region->size, PROT_READ) != 0) abort();
}

void* mmap(void* where, size_t size, int protection, int flags, int fd, off_t at) {
    long mapped = told(direct(SYS_mmap, (long)where, (long)size, protection, flags, fd, at));
    void* begin = mapped == -1 ? MAP_FAILED : (char*)NULL + mapped;
    guard(begin, size, protection, flags, fd, at);
    return begin;
}

void* mmap64(void* where, size_t size, int protection, int flags, int fd, off_t at) {
    return mmap(where, size, protection, flags, fd, at);
}

static void on_fault(int number, siginfo_t* info, void* context) {
    char* address = info->si_addr;
    for (int i = 0; i < region_count; i++) {
        struct region* region = &regions[i];
        if (address < region->begin || address >= region->begin + region->size) continue;
        size_t offset = (size_t)(address - region->begin);
        describe(opened_label, "store into %s at %zu", region->name, offset % STATE_SIZE);
        pass("before", opened_label);
        mprotect(region->begin, region->size, PROT_READ | PROT_WRITE);
        opened = region;
        ((ucontext_t*)context)->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
        return;
    }
    signal(number, SIG_DFL);
}

static void on_step(int number, siginfo_t* info, void* context) {
    (void)number, (void)info;
    ((ucontext_t*)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    mprotect(opened->begin, opened->size, PROT_READ);
    pass("after", opened_label);
}

static void read_visited(const char* path) {
    FILE* file = fopen(path, "re");
    char line[LABEL] = {0};
    visited = calloc(POINTS, sizeof(*visited));
    while (file && visited && visited_count < POINTS && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        memcpy(visited[visited_count++], line, LABEL - 1);
    }
    if (file) fclose(file);
}

__attribute__((constructor)) static void begin_life(void) {
    const char* path = getenv("CRASH_VISITED");
    const char* directory = getenv("CRASH_STORE");
    if (!path || !directory) return;
    only = getenv("CRASH_ONLY");
    if (getenv("CRASH_TIMES")) times = atoi(getenv("CRASH_TIMES"));
    read_visited(path);
    owner = getpid();
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    struct sigaction step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &fault, NULL);
    sigaction(SIGTRAP, &step, NULL);
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    store = directory;
    visited_file = file;
}
