// Backend `tracepoint`, bpf/tracepoint.bpf.h.
#include "capture/backend.h"

namespace twinlog {

Result<BackendPlan> plan_tracepoint(const KernelProbe& kernel) {
    for (const char* name : {"sys_exit", "sched_process_exec", "sched_process_exit"}) {
        if (!kernel.takes_tracepoint(name)) {
            return fail("backend tracepoint",
                        std::string("a program on ") + name + " does not load",
                        "a kernel of Linux 5.19 or later with CONFIG_BPF_EVENTS=y is needed");
        }
    }
    BackendPlan plan;
    plan.backend = Backend::tracepoint;
    plan.all_calls = true;
    // Programs that may sleep are run with preemption on, and are then skipped at times. By way of
    // perf they are not, unless another thread was preempted in the middle of bpf(2) on a map.
    plan.sees_everything = !kernel.lets_sleep_in_tracepoint("sys_exit");
    plan.exit_program = plan.sees_everything ? "on_sys_exit" : "on_sys_exit_perf";
    // Kernels are built without io_uring, too: then nobody writes by it.
    if (kernel.knows_tracepoint("io_uring_complete")) plan.programs.push_back("on_io_uring");
    return plan;
}

}  // namespace twinlog
