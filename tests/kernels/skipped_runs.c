/* How many runs of a capture program the kernel skips where threads are preempted all the time: 64
 * writers and a reader of one pipe, 8 that start programs, two real-time threads that wake up every
 * so often; then the same with two more that do nothing but operations on a BPF map. Prints a line
 * for each program and load. */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    WRITERS = 64,
    STARTERS = 8,
    CHILDREN = WRITERS + STARTERS + 5,
    SECONDS = 8,
    WRITE_SIZE = 100,
    SMALL_RING = 4 << 20,
    PRIORITY = 50,
    /* Two that do not keep step, so that all places in a program are hit. */
    FIRST_PERIOD_US = 200,
    SECOND_PERIOD_US = 370,
};

static pid_t children[CHILDREN];
static int child_count;

static _Noreturn void die(const char* what) {
    fprintf(stderr, "skipped_runs: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void start(void (*work)(int), int argument) {
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        work(argument);
        _exit(0);
    }
    children[child_count++] = child;
}

static void write_for_ever(int pipe_end) {
    char bytes[WRITE_SIZE] = {0};
    while (write(pipe_end, bytes, sizeof bytes) > 0) continue;
}

static void read_for_ever(int pipe_end) {
    char bytes[4096];
    while (read(pipe_end, bytes, sizeof bytes) > 0) continue;
}

static void start_programs_for_ever(int unused) {
    (void)unused;
    for (;;) {
        pid_t child = vfork();
        if (child < 0) die("vfork");
        if (child == 0) {
            execl("/bin/true", "true", NULL);
            _exit(1);
        }
        int status = 0;
        if (waitpid(child, &status, 0) < 0 || status != 0) die("/bin/true");
    }
}

static void preempt_for_ever(int period_us) {
    struct sched_param priority = {.sched_priority = PRIORITY};
    if (sched_setscheduler(0, SCHED_FIFO, &priority) < 0) die("SCHED_FIFO");
    for (;;) {
        struct timespec period = {0, period_us * 1000L};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &period, NULL);
        for (volatile int i = 0; i < 2000; i++) continue;
    }
}

static void use_map_for_ever(int map) {
    unsigned key = 0;
    unsigned long long value = 1;
    for (;;) {
        bpf_map_update_elem(map, &key, &value, BPF_ANY);
        bpf_map_lookup_elem(map, &key, &value);
    }
}

/* The programs on sys_exit look at the calls that this variable names: all of them. */
static void trace_all_calls(struct bpf_object* object) {
    const struct btf* types = bpf_object__btf(object);
    const struct btf_type* section =
        btf__type_by_id(types, (unsigned)btf__find_by_name_kind(types, ".bss", BTF_KIND_DATASEC));
    struct bpf_map* map = bpf_object__find_map_by_name(object, ".bss");
    char* variables = calloc(1, bpf_map__value_size(map));
    unsigned key = 0;
    if (!variables || bpf_map_lookup_elem(bpf_map__fd(map), &key, variables) < 0) die(".bss");
    for (int i = 0; i < btf_vlen(section); i++) {
        const struct btf_var_secinfo* place = btf_var_secinfos(section) + i;
        const struct btf_type* variable = btf__type_by_id(types, place->type);
        if (strcmp(btf__name_by_offset(types, variable->name_off), "traced_calls") == 0) {
            memset(variables + place->offset, 0xff, place->size);
        }
    }
    if (bpf_map_update_elem(bpf_map__fd(map), &key, variables, BPF_ANY) < 0) die(".bss");
    free(variables);
}

static struct bpf_link* attach(struct bpf_program* program) {
    if (strcmp(bpf_program__section_name(program), "kretprobe.multi") != 0) {
        return bpf_program__attach(program);
    }
    const char* functions[] = {"__x64_sys_write"};
    LIBBPF_OPTS(bpf_kprobe_multi_opts, options, .syms = functions, .cnt = 1, .retprobe = true);
    return bpf_program__attach_kprobe_multi_opts(program, NULL, &options);
}

static void measure(const char* path, const char* name, bool with_maps) {
    struct bpf_object* object = bpf_object__open(path);
    if (!object) die(path);
    struct bpf_program* program = NULL;
    bpf_object__for_each_program(program, object) {
        bpf_program__set_autoload(program, strcmp(bpf_program__name(program), name) == 0);
    }
    bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "output"), SMALL_RING);
    program = bpf_object__find_program_by_name(object, name);
    if (!program || bpf_object__load(object) != 0) die(name);
    trace_all_calls(object);
    struct bpf_link* link = attach(program);
    if (!link) die(name);
    int statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
    int map = bpf_map_create(BPF_MAP_TYPE_HASH, "busy", 4, 8, 16, NULL);
    int ends[2];
    if (pipe(ends) < 0) die("pipe");

    child_count = 0;
    for (int i = 0; i < WRITERS; i++) start(write_for_ever, ends[1]);
    start(read_for_ever, ends[0]);
    for (int i = 0; i < STARTERS; i++) start(start_programs_for_ever, 0);
    start(preempt_for_ever, FIRST_PERIOD_US);
    start(preempt_for_ever, SECOND_PERIOD_US);
    if (with_maps) {
        start(use_map_for_ever, map);
        start(use_map_for_ever, map);
    }
    sleep(SECONDS);
    struct bpf_prog_info info;
    memset(&info, 0, sizeof info);
    unsigned size = sizeof info;
    if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) < 0) die(name);
    printf("%s%s: %llu of %llu\n", name, with_maps ? ", maps in use" : "",
           (unsigned long long)info.recursion_misses,
           (unsigned long long)(info.run_cnt + info.recursion_misses));
    fflush(stdout);

    for (int i = 0; i < child_count; i++) kill(children[i], SIGKILL);
    while (wait(NULL) > 0) continue;
    close(ends[0]);
    close(ends[1]);
    close(map);
    close(statistics);
    bpf_link__destroy(link);
    bpf_object__close(object);
}

int main(int argc, char** argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: skipped_runs OBJECT PROGRAM…\n");
        return 2;
    }
    libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
    for (int with_maps = 0; with_maps < 2; with_maps++) {
        for (int i = 2; i < argc; i++) measure(argv[1], argv[i], with_maps);
    }
    return 0;
}
