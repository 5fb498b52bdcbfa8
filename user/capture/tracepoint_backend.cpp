// Backend `tracepoint`, bpf/tracepoint.bpf.h.
#include "capture/backend.h"

namespace twinlog {

namespace {

constexpr const char* subject = "backend tracepoint";

}  // namespace

Result<BackendPlan> plan_tracepoint(const KernelProbe& kernel) {
    // The newest of what the programs need, older than which are loops and atomics that return the
    // old value: positions in a stream rest on these.
    if (!KernelProbe::has_helper(BPF_FUNC_ringbuf_reserve_dynptr)) {
        return fail(subject, "this kernel's BPF has no records of any size (dynptrs)",
                    "Linux 5.19 or later is needed");
    }
    for (const char* name : {"sys_exit", "sched_process_exec", "sched_process_exit"}) {
        if (!kernel.takes_tracepoint(name)) {
            return fail(subject, std::string("a program on ") + name + " does not load",
                        "a kernel with CONFIG_BPF_EVENTS=y is needed");
        }
    }
    BackendPlan plan;
    plan.backend = Backend::tracepoint;
    plan.all_calls = true;
    // Where programs may sleep they are run with preemption on, and the kernel skips them on a
    // processor where a thread was preempted inside of one. By way of perf they are run with
    // preemption off. Before 6.2 the kernel says so of all trace points, and does it at none: one
    // in the scheduler tells.
    const bool by_perf = kernel.lets_sleep_in_tracepoint("sys_exit") &&
                         !kernel.lets_sleep_in_tracepoint("sched_switch");
    plan.way = by_perf ? "perf" : "tp_btf";
    if (by_perf) plan.caveat = preemption_caveat;
    plan.exit_program = by_perf ? "on_sys_exit_perf" : "on_sys_exit";
    // Kernels are built without io_uring, too: then nobody writes by it.
    if (kernel.knows_tracepoint("io_uring_complete")) {
        plan.programs.push_back(by_perf ? "on_io_uring_perf" : "on_io_uring");
    }
    // Of a start two programs tell, where one may be skipped: what makes the kernel skip the one is
    // not what makes it skip the other, and the second finds that it is known.
    plan.run_programs = by_perf ? std::vector{"on_exit_perf", "on_exec", "on_exec_perf"}
                                : std::vector{"on_exit", "on_exec"};
    return plan;
}

}  // namespace twinlog
