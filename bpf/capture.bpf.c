/* All capture programs. Each backend loads and attaches some of them; maps, and what finds containers,
 * are the same for all. */
#include "fentry.bpf.h"
#include "holders.bpf.h"
#include "io_uring.bpf.h"
#include "run.bpf.h"
#include "tracepoint.bpf.h"

char LICENSE[] SEC("license") = "GPL";
