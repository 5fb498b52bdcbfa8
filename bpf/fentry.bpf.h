/* Backend `fentry`: hooks the functions that carry out the system calls in question, and the reading
 * ends of pipes and terminals. All other calls cost nothing.
 *
 * Of writes it is the system call's own function (the table calls it, so no compiler can inline it),
 * because those beneath are inlined into some of their callers and not into others: a program on
 * them attaches and yet misses calls, __sys_sendto's to begin with. Of reads it is what a file's
 * operations point to, which cannot be inlined there either; so reads of other files cost nothing. */
#pragma once

#include "finished_call.bpf.h"

#define HOOK_CALL(function, nr, compat)                                                               \
	SEC("fexit/" #function)                                                                       \
	int BPF_PROG(call##function, struct pt_regs *regs, long ret)                                  \
	{                                                                                             \
		return finished_call(regs, ret, nr, compat);                                          \
	}

/* Numbers as in syscalls.bpf.h. */
HOOK_CALL(__x64_sys_write, 1, false)
HOOK_CALL(__x64_sys_pwrite64, 18, false)
HOOK_CALL(__x64_sys_writev, 20, false)
HOOK_CALL(__x64_sys_sendfile64, 40, false)
HOOK_CALL(__x64_sys_sendto, 44, false)
HOOK_CALL(__x64_sys_sendmsg, 46, false)
HOOK_CALL(__x64_sys_io_submit, 209, false)
HOOK_CALL(__x64_sys_splice, 275, false)
HOOK_CALL(__x64_sys_tee, 276, false)
HOOK_CALL(__x64_sys_vmsplice, 278, false)
HOOK_CALL(__x64_sys_pwritev, 296, false)
HOOK_CALL(__x64_sys_sendmmsg, 307, false)
HOOK_CALL(__x64_sys_copy_file_range, 326, false)
HOOK_CALL(__x64_sys_pwritev2, 328, false)
HOOK_CALL(__ia32_sys_write, 4, true)
HOOK_CALL(__ia32_compat_sys_socketcall, 102, true)
HOOK_CALL(__ia32_sys_writev, 146, true)
HOOK_CALL(__ia32_sys_ia32_pwrite64, 181, true)
HOOK_CALL(__ia32_compat_sys_sendfile, 187, true)
HOOK_CALL(__ia32_sys_sendfile64, 239, true)
HOOK_CALL(__ia32_compat_sys_io_submit, 248, true)
HOOK_CALL(__ia32_sys_splice, 313, true)
HOOK_CALL(__ia32_sys_tee, 315, true)
HOOK_CALL(__ia32_sys_vmsplice, 316, true)
HOOK_CALL(__ia32_compat_sys_pwritev, 334, true)
HOOK_CALL(__ia32_compat_sys_sendmmsg, 345, true)
HOOK_CALL(__ia32_sys_sendto, 369, true)
HOOK_CALL(__ia32_compat_sys_sendmsg, 370, true)
HOOK_CALL(__ia32_sys_copy_file_range, 377, true)
HOOK_CALL(__ia32_compat_sys_pwritev2, 379, true)

/* The call's own arguments tell where the bytes went. What io_uring reads, its completion tells; what
 * the kernel reads for itself or by splice(2), no call that reads. */
static __always_inline int finished_read(struct kiocb *request, long ret)
{
	struct file *file = request->ki_filp;
	struct tw_stream stream;
	struct pt_regs *regs;
	struct call call;
	bool compat;

	if ((ret < 0 && ret != -EIO) || request->ki_complete || !find_stream(file, END_READ, &stream))
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	compat = is_compat(bpf_get_current_task_btf());
	call = compat ? compat_call((u32)regs->orig_ax) : native_call(regs->orig_ax);
	if (call.end != END_READ)
		return 0;
	moved(file, &stream, call, compat ? (u32)regs->cx : regs->si, compat ? (u32)regs->dx : regs->dx, ret,
	      compat);
	return 0;
}

/* Before 6.18, of pipes with a name and without. */
SEC("fexit/pipe_read")
int BPF_PROG(on_pipe_read, struct kiocb *request, struct iov_iter *to, long ret)
{
	return finished_read(request, ret);
}

SEC("fexit/anon_pipe_read")
int BPF_PROG(on_anon_pipe_read, struct kiocb *request, struct iov_iter *to, long ret)
{
	/* As a part of the other one. */
	if (request->ki_filp->f_inode->i_sb->s_magic != PIPEFS_MAGIC)
		return 0;
	return finished_read(request, ret);
}

SEC("fexit/fifo_pipe_read")
int BPF_PROG(on_fifo_pipe_read, struct kiocb *request, struct iov_iter *to, long ret)
{
	return finished_read(request, ret);
}

SEC("fexit/tty_read")
int BPF_PROG(on_tty_read, struct kiocb *request, struct iov_iter *to, long ret)
{
	return finished_read(request, ret);
}

/* The same functions on kernels that preempt threads inside the kernel. There a program on fexit is
 * skipped while a preempted thread is inside of it on the same CPU; these are called with preemption
 * off. They are not told the function's arguments. */
static __always_inline int returned(struct pt_regs *at_return, enum end end)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	long ret = at_return->ax;
	bool compat;
	u64 nr;

	if (ret < 0 && ret != -EIO)
		return 0;
	/* Set by the system call's entry, and until it has a result; io_uring's work comes after that. */
	if ((long)regs->ax != -ENOSYS)
		return 0;
	compat = is_compat(task);
	nr = compat ? (u32)regs->orig_ax : regs->orig_ax;
	if ((compat ? compat_call(nr) : native_call(nr)).end != end)
		return 0;
	return finished_call(regs, ret, nr, compat);
}

SEC("kretprobe.multi")
int on_call_return(struct pt_regs *at_return)
{
	return returned(at_return, END_WRITE);
}

/* Each read once: of those on whose way another function with this program returns, there is one more
 * below. */
SEC("kretprobe.multi")
int on_read_return(struct pt_regs *at_return)
{
	return returned(at_return, END_READ);
}

/* anon_pipe_read, which reading a pipe with a name comes through as well. The descriptor is the first
 * argument of all calls that read. */
SEC("kretprobe.multi")
int on_anon_pipe_read_return(struct pt_regs *at_return)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct file *file = task_file(task, (u32)(is_compat(task) ? regs->bx : regs->di));

	if (!file || BPF_CORE_READ(file, f_inode, i_sb, s_magic) != PIPEFS_MAGIC)
		return 0;
	return returned(at_return, END_READ);
}
