/* Backend `tracepoint`: sees every write at sys_exit, when the result is known and the arguments are
 * still in the registers. Loads on locked-down kernels, costs every system call of the host some 75 ns. */
#include "emit.bpf.h"
#include "run.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* How a system call puts bytes into a file. */
enum way {
	WAY_NONE = 0,
	WAY_BUFFER,	/* fd, buffer, size */
	WAY_LIST,	/* fd, iovec, count */
	WAY_NO_COPY,	/* only the number of bytes is known */
};

/* In which argument the file stands. */
enum place {
	FD_FIRST = 0,
	FD_SECOND,
	FD_THIRD,
};

struct call {
	u8 way;
	u8 place;
};

/* arch/x86/entry/syscalls/syscall_64.tbl */
static __always_inline struct call native_call(u64 nr)
{
	switch (nr) {
	case 1:		/* write */
	case 18:	/* pwrite64 */
	case 44:	/* sendto */
		return (struct call){ WAY_BUFFER, FD_FIRST };
	case 20:	/* writev */
	case 296:	/* pwritev */
	case 328:	/* pwritev2 */
		return (struct call){ WAY_LIST, FD_FIRST };
	case 40:	/* sendfile */
	case 46:	/* sendmsg */
	case 278:	/* vmsplice */
		return (struct call){ WAY_NO_COPY, FD_FIRST };
	case 276:	/* tee */
		return (struct call){ WAY_NO_COPY, FD_SECOND };
	case 275:	/* splice */
	case 326:	/* copy_file_range */
		return (struct call){ WAY_NO_COPY, FD_THIRD };
	}
	return (struct call){ WAY_NONE, FD_FIRST };
}

/* arch/x86/entry/syscalls/syscall_32.tbl */
static __always_inline struct call compat_call(u64 nr)
{
	switch (nr) {
	case 4:		/* write */
	case 181:	/* pwrite64 */
	case 369:	/* sendto */
		return (struct call){ WAY_BUFFER, FD_FIRST };
	case 146:	/* writev */
	case 334:	/* pwritev */
	case 379:	/* pwritev2 */
		return (struct call){ WAY_LIST, FD_FIRST };
	case 187:	/* sendfile */
	case 239:	/* sendfile64 */
	case 316:	/* vmsplice */
	case 370:	/* sendmsg */
		return (struct call){ WAY_NO_COPY, FD_FIRST };
	case 315:	/* tee */
		return (struct call){ WAY_NO_COPY, FD_SECOND };
	case 313:	/* splice */
	case 377:	/* copy_file_range */
		return (struct call){ WAY_NO_COPY, FD_THIRD };
	}
	return (struct call){ WAY_NONE, FD_FIRST };
}

/* Always by orig_ax, never by what sys_enter saw: after a signal, rt_sigreturn shows the registers
 * of the interrupted call again, with orig_ax -1. Only what was really written counts: ret > 0. */
SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task;
	struct tw_stream *stream;
	struct file *file;
	struct call call;
	u64 fd, base, count, length;
	bool compat;

	if (ret <= 0)
		return 0;
	task = bpf_get_current_task_btf();
	compat = task->thread_info.status & TS_COMPAT;
	call = compat ? compat_call((u32)regs->orig_ax) : native_call(regs->orig_ax);
	if (call.way == WAY_NONE)
		return 0;
	fd = call.place == FD_FIRST  ? (compat ? regs->bx : regs->di) :
	     call.place == FD_SECOND ? (compat ? regs->cx : regs->si) :
				       regs->dx;
	file = task_file(task, (u32)fd);
	if (!file)
		return 0;
	stream = find_stream(file);
	if (!stream || !(BPF_CORE_READ(file, f_mode) & FMODE_WRITE))
		return 0;
	length = ret;
	base = compat ? (u32)regs->cx : regs->si;
	count = compat ? (u32)regs->dx : regs->dx;
	if (call.way == WAY_NO_COPY)
		emit_hole(stream->slot, length, TW_REASON_ZERO_COPY);
	else if (call.way == WAY_BUFFER && have_user_dynptr && length <= TW_RECORD_DATA)
		emit_buffer(stream->slot, base, length);
	else
		emit_list(stream->slot, base, count, length, call.way == WAY_LIST, compat);
	return 0;
}
