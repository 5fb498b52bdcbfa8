// Backend `fentry`, bpf/fentry.bpf.h.
#include <algorithm>
#include <array>
#include <string_view>

#include "capture/backend.h"

namespace twinlog {

namespace {

// arch/x86/entry/syscalls: the functions behind the numbers.
constexpr std::array<CallHook, 30> call_hooks{{
    {"__x64_sys_write", "call__x64_sys_write", {false, 1}},
    {"__x64_sys_pwrite64", "call__x64_sys_pwrite64", {false, 18}},
    {"__x64_sys_writev", "call__x64_sys_writev", {false, 20}},
    {"__x64_sys_sendfile64", "call__x64_sys_sendfile64", {false, 40}},
    {"__x64_sys_sendto", "call__x64_sys_sendto", {false, 44}},
    {"__x64_sys_sendmsg", "call__x64_sys_sendmsg", {false, 46}},
    {"__x64_sys_io_submit", "call__x64_sys_io_submit", {false, 209}},
    {"__x64_sys_splice", "call__x64_sys_splice", {false, 275}},
    {"__x64_sys_tee", "call__x64_sys_tee", {false, 276}},
    {"__x64_sys_vmsplice", "call__x64_sys_vmsplice", {false, 278}},
    {"__x64_sys_pwritev", "call__x64_sys_pwritev", {false, 296}},
    {"__x64_sys_sendmmsg", "call__x64_sys_sendmmsg", {false, 307}},
    {"__x64_sys_copy_file_range", "call__x64_sys_copy_file_range", {false, 326}},
    {"__x64_sys_pwritev2", "call__x64_sys_pwritev2", {false, 328}},
    {"__ia32_sys_write", "call__ia32_sys_write", {true, 4}},
    {"__ia32_compat_sys_socketcall", "call__ia32_compat_sys_socketcall", {true, 102}},
    {"__ia32_sys_writev", "call__ia32_sys_writev", {true, 146}},
    {"__ia32_sys_ia32_pwrite64", "call__ia32_sys_ia32_pwrite64", {true, 181}},
    {"__ia32_compat_sys_sendfile", "call__ia32_compat_sys_sendfile", {true, 187}},
    {"__ia32_sys_sendfile64", "call__ia32_sys_sendfile64", {true, 239}},
    {"__ia32_compat_sys_io_submit", "call__ia32_compat_sys_io_submit", {true, 248}},
    {"__ia32_sys_splice", "call__ia32_sys_splice", {true, 313}},
    {"__ia32_sys_tee", "call__ia32_sys_tee", {true, 315}},
    {"__ia32_sys_vmsplice", "call__ia32_sys_vmsplice", {true, 316}},
    {"__ia32_compat_sys_pwritev", "call__ia32_compat_sys_pwritev", {true, 334}},
    {"__ia32_compat_sys_sendmmsg", "call__ia32_compat_sys_sendmmsg", {true, 345}},
    {"__ia32_sys_sendto", "call__ia32_sys_sendto", {true, 369}},
    {"__ia32_compat_sys_sendmsg", "call__ia32_compat_sys_sendmsg", {true, 370}},
    {"__ia32_sys_copy_file_range", "call__ia32_sys_copy_file_range", {true, 377}},
    {"__ia32_compat_sys_pwritev2", "call__ia32_compat_sys_pwritev2", {true, 379}},
}};

struct ReadHook {
    const char* function;
    const char* program;
    const char* return_program;
};

// What the operations of pipes point to: one function for all of them, or from 6.18 on two.
constexpr ReadHook all_pipes{"pipe_read", "on_pipe_read", "on_read_return"};
constexpr std::array<ReadHook, 2> pipes_and_fifos{
    {{"anon_pipe_read", "on_anon_pipe_read", "on_anon_pipe_read_return"},
     {"fifo_pipe_read", "on_fifo_pipe_read", "on_read_return"}}};
constexpr ReadHook terminals{"tty_read", "on_tty_read", "on_read_return"};

// read, readv and preadv2, where a kind of file has no function that is known.
constexpr std::array<SystemCall, 6> reads{
    {{false, 0}, {false, 19}, {false, 327}, {true, 3}, {true, 145}, {true, 378}}};

// Of a kernel that runs 32-bit programs.
constexpr const char* compat_mark = "__ia32_sys_write";

// The hooks of reading; none where one of them is missing, and the calls are to be seen at their
// exit.
std::vector<ReadHook> find_read_hooks(const KernelProbe& kernel) {
    std::vector<ReadHook> hooks;
    if (kernel.hooks_function(all_pipes.function)) {
        hooks.push_back(all_pipes);
    } else {
        hooks.assign(pipes_and_fifos.begin(), pipes_and_fifos.end());
    }
    hooks.push_back(terminals);
    const bool complete = std::all_of(hooks.begin(), hooks.end(), [&](const ReadHook& hook) {
        return kernel.hooks_function(hook.function);
    });
    return complete ? hooks : std::vector<ReadHook>{};
}

// One program for many functions, run with preemption off.
void hook_returns(BackendPlan& plan, const std::vector<CallHook>& calls,
                  const std::vector<ReadHook>& reading) {
    const auto hook = [&](const char* function, const char* program) {
        const auto known = std::find_if(plan.returns.begin(), plan.returns.end(),
                                        [&](const ReturnProgram& returns) {
                                            return std::string_view(returns.program) == program;
                                        });
        if (known != plan.returns.end()) {
            known->functions.push_back(function);
        } else {
            plan.returns.push_back({program, {function}});
        }
    };
    for (const CallHook& call : calls) hook(call.function, "on_call_return");
    for (const ReadHook& read : reading) hook(read.function, read.return_program);
}

}  // namespace

Result<BackendPlan> plan_fentry(const KernelProbe& kernel) {
    const std::string subject = "backend fentry";
    const std::string way_out = "--backend auto or tracepoint captures the same";
    if (!kernel.hooks_function(call_hooks.front().function)) {
        return fail(subject,
                    "programs on the kernel's functions do not load; the usual reason is kernel "
                    "lockdown (/sys/kernel/security/lockdown)",
                    way_out);
    }
    auto tracepoint = plan_tracepoint(kernel);
    if (!tracepoint) {
        // What finds containers, and the helpers that all programs call, are the same.
        Error error = tracepoint.error();
        error.subject = subject;
        return fail(std::move(error));
    }
    BackendPlan plan;
    plan.backend = Backend::fentry;
    plan.exit_program = tracepoint->exit_program;
    plan.programs = tracepoint->programs;
    plan.run_programs = tracepoint->run_programs;

    std::vector<CallHook> calls;
    const bool compat = kernel.knows_function(compat_mark);
    for (const CallHook& hook : call_hooks) {
        if (hook.call.compat && !compat) continue;
        if (kernel.hooks_function(hook.function)) {
            calls.push_back(hook);
        } else {
            plan.left_calls.push_back(hook.call);
        }
    }
    const std::vector<ReadHook> reading = find_read_hooks(kernel);
    if (reading.empty()) {
        plan.left_calls.insert(plan.left_calls.end(), reads.begin(), reads.end());
    }
    if (KernelProbe::preemption() == Preemption::never) {
        // kernel/bpf/trampoline.c, bpf_tramp_image_put(): who is inside of the function then
        // returns past the programs. Of pipes and terminals the reading end brings the bytes.
        plan.caveat =
            "a write to a file or socket is not seen that is at work while another program is "
            "attached "
            "to the same function of the kernel, or removed from it";
        plan.way = "fexit";
        plan.hooks = std::move(calls);
        for (const ReadHook& hook : reading) plan.programs.push_back(hook.program);
        return plan;
    }
    // While a thread is preempted inside a program on fexit, the kernel skips it for all others on
    // that processor. Programs on returns are not preempted, but are skipped where another thread
    // was in the middle of bpf(2) on a map.
    if (!kernel.returns_are_unlimited()) {
        return fail(subject,
                    "this kernel preempts threads inside the kernel, or may, and skips programs on "
                    "functions then: bytes would be missing",
                    way_out + ", or boot with preempt=voluntary");
    }
    plan.way = "fprobes";
    plan.caveat = preemption_caveat;
    hook_returns(plan, calls, reading);
    return plan;
}

}  // namespace twinlog
