/* The least that a ring for writes takes: each write(2) of one process is copied into it, nothing
 * is asked about where it goes. */
/* The second needs the types of the first. */
/* clang-format off */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
/* clang-format on */

/* A record's size and whose writes: set before loading, so that the verifier knows them. */
const volatile __u32 record_size = 1;
const volatile __u32 writer = 0;

__u64 dropped = 0;

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 8 << 20);
} ring SEC(".maps");

/* Only the members in use; CO-RE moves each access to where the running kernel has it. */
struct pt_regs {
    unsigned long dx, si, orig_ax;
} __attribute__((preserve_access_index));

SEC("tp_btf/sys_enter")
int copy_write(__u64* arguments) {
    const struct pt_regs* registers = (const struct pt_regs*)arguments[0];
    if ((bpf_get_current_pid_tgid() >> 32) != writer || arguments[1] != 1) return 0;
    if (registers->dx != record_size) return 0;
    void* record = bpf_ringbuf_reserve(&ring, record_size, 0);
    if (!record) {
        __sync_fetch_and_add(&dropped, 1);
        return 0;
    }
    bpf_probe_read_user(record, record_size, (const void*)registers->si);
    bpf_ringbuf_submit(record, 0);
    return 0;
}

char LICENSE[] SEC("license") = "GPL";
