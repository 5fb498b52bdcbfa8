/* Backend `tracepoint`: sees every write and read at sys_exit, when the result is known and the
 * arguments are still in the registers. Loads on locked-down kernels, costs every system call of the
 * host some 75 ns. The backend `fentry` has it for those calls only whose functions it can't hook. */
#pragma once

#include "finished_call.bpf.h"

static __always_inline bool is_traced(u64 nr, bool compat)
{
	return nr < TW_CALLS && (traced_calls[compat ? 1 : 0][nr / 64] >> (nr % 64) & 1);
}

/* Always by orig_ax, never by what sys_enter saw: after a signal, rt_sigreturn shows the registers
 * of the interrupted call again, with orig_ax -1. */
static __always_inline int left_kernel(struct pt_regs *regs, long ret)
{
	bool compat;
	u64 nr;

	if (ret < 0 && ret != -EIO)
		return 0;
	compat = is_compat(bpf_get_current_task_btf());
	nr = compat ? (u32)regs->orig_ax : regs->orig_ax;
	if (!is_traced(nr, compat))
		return 0;
	return finished_call(regs, ret, nr, compat);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	return left_kernel(regs, ret);
}

/* What /sys/kernel/tracing/events/raw_syscalls/sys_exit/format says. */
struct sys_exit_event {
	u64 common;
	long id;
	long ret;
};

/* The same event by way of perf, which calls with preemption off on all kernels. Where the other one
 * runs with preemption on (7.2), the kernel skips it while a preempted thread is inside of it on the
 * same CPU. */
SEC("tp/raw_syscalls/sys_exit")
int on_sys_exit_perf(struct sys_exit_event *event)
{
	return left_kernel((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()), event->ret);
}
