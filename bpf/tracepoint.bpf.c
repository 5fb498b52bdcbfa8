/* Backend `tracepoint`: sees every write and read at sys_exit, when the result is known and the arguments are
 * still in the registers. Loads on locked-down kernels, costs every system call of the host some 75 ns. */
#include "aio.bpf.h"
#include "emit.bpf.h"
#include "io_uring.bpf.h"
#include "run.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* How a system call moves bytes. */
enum way {
	WAY_NONE = 0,
	WAY_BUFFER,	/* fd, buffer, size */
	WAY_LIST,	/* fd, iovec, count */
	WAY_MESSAGE,	/* fd, msghdr */
	WAY_MESSAGES,	/* fd, mmsghdr, count */
	WAY_NO_COPY,	/* only the number of bytes is known */
	WAY_REQUESTS,	/* files and buffers stand in requests */
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
	u8 end;
};

#define WRITES(way, place) ((struct call){ way, place, END_WRITE })
#define READS(way) ((struct call){ way, FD_FIRST, END_READ })

/* arch/x86/entry/syscalls/syscall_64.tbl */
static __always_inline struct call native_call(u64 nr)
{
	switch (nr) {
	case 0:		/* read */
		return READS(WAY_BUFFER);
	case 19:	/* readv */
	case 327:	/* preadv2 */
		return READS(WAY_LIST);
	case 1:		/* write */
	case 18:	/* pwrite64 */
	case 44:	/* sendto */
		return WRITES(WAY_BUFFER, FD_FIRST);
	case 20:	/* writev */
	case 296:	/* pwritev */
	case 328:	/* pwritev2 */
		return WRITES(WAY_LIST, FD_FIRST);
	case 46:	/* sendmsg */
		return WRITES(WAY_MESSAGE, FD_FIRST);
	case 307:	/* sendmmsg */
		return WRITES(WAY_MESSAGES, FD_FIRST);
	case 209:	/* io_submit */
		return WRITES(WAY_REQUESTS, FD_FIRST);
	case 40:	/* sendfile */
	case 278:	/* vmsplice */
		return WRITES(WAY_NO_COPY, FD_FIRST);
	case 276:	/* tee */
		return WRITES(WAY_NO_COPY, FD_SECOND);
	case 275:	/* splice */
	case 326:	/* copy_file_range */
		return WRITES(WAY_NO_COPY, FD_THIRD);
	}
	return WRITES(WAY_NONE, FD_FIRST);
}

/* Those that take bytes out of a pipe although the table above has them as writes. */
static __always_inline bool native_takes(u64 nr)
{
	return nr == 275 /* splice */ || nr == 278 /* vmsplice */;
}

/* arch/x86/entry/syscalls/syscall_32.tbl */
static __always_inline struct call compat_call(u64 nr)
{
	switch (nr) {
	case 3:		/* read */
		return READS(WAY_BUFFER);
	case 145:	/* readv */
	case 378:	/* preadv2 */
		return READS(WAY_LIST);
	case 4:		/* write */
	case 181:	/* pwrite64 */
	case 369:	/* sendto */
		return WRITES(WAY_BUFFER, FD_FIRST);
	case 146:	/* writev */
	case 334:	/* pwritev */
	case 379:	/* pwritev2 */
		return WRITES(WAY_LIST, FD_FIRST);
	case 370:	/* sendmsg */
		return WRITES(WAY_MESSAGE, FD_FIRST);
	case 345:	/* sendmmsg */
		return WRITES(WAY_MESSAGES, FD_FIRST);
	case 248:	/* io_submit */
		return WRITES(WAY_REQUESTS, FD_FIRST);
	case 187:	/* sendfile */
	case 239:	/* sendfile64 */
	case 316:	/* vmsplice */
		return WRITES(WAY_NO_COPY, FD_FIRST);
	case 315:	/* tee */
		return WRITES(WAY_NO_COPY, FD_SECOND);
	case 313:	/* splice */
	case 377:	/* copy_file_range */
		return WRITES(WAY_NO_COPY, FD_THIRD);
	}
	return WRITES(WAY_NONE, FD_FIRST);
}

static __always_inline bool compat_takes(u64 nr)
{
	return nr == 313 /* splice */ || nr == 316 /* vmsplice */;
}

/* Always by orig_ax, never by what sys_enter saw: after a signal, rt_sigreturn shows the registers
 * of the interrupted call again, with orig_ax -1. Only what was really moved counts: ret > 0. That
 * nobody can write any more a reader is told by 0, of a terminal by EIO. */
SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task;
	struct tw_stream *stream;
	struct tw_state *state;
	struct file *file;
	struct call call;
	u64 fd, base, count, length;
	bool compat;
	u32 type;

	if (ret < 0 && ret != -EIO)
		return 0;
	task = bpf_get_current_task_btf();
	compat = task->thread_info.status & TS_COMPAT;
	call = compat ? compat_call((u32)regs->orig_ax) : native_call(regs->orig_ax);
	if (call.way == WAY_NONE || (ret <= 0 && call.end == END_WRITE))
		return 0;
	if (compat ? compat_takes((u32)regs->orig_ax) : native_takes(regs->orig_ax)) {
		file = task_file(task, (u32)(compat ? regs->bx : regs->di));
		stream = file ? find_stream(file, END_READ) : NULL;
		if (stream) {
			note_reader(stream->slot, false);
			emit_hole(stream->slot, TW_READ, ret, TW_REASON_ZERO_COPY);
		}
	}
	if (call.way == WAY_REQUESTS) {
		aio_submitted(compat ? regs->bx : regs->di, compat ? (u32)regs->dx : regs->dx, ret, compat);
		return 0;
	}
	fd = call.place == FD_FIRST  ? (compat ? regs->bx : regs->di) :
	     call.place == FD_SECOND ? (compat ? regs->cx : regs->si) :
				       regs->dx;
	file = task_file(task, (u32)fd);
	if (!file)
		return 0;
	stream = find_stream(file, call.end);
	if (!stream)
		return 0;
	length = ret;
	if (call.end == END_READ) {
		count = compat ? (u32)regs->dx : regs->dx;
		if (ret <= 0) {
			/* Asking for nothing gives nothing, whatever is there. */
			state = count ? bpf_map_lookup_elem(&states, &stream->slot) : NULL;
			if (state)
				state->at_end = 1;
			return 0;
		}
		note_reader(stream->slot, true);
	}
	type = call.end == END_READ ? TW_READ : TW_DATA;
	base = compat ? (u32)regs->cx : regs->si;
	count = compat ? (u32)regs->dx : regs->dx;
	if (call.way == WAY_NO_COPY)
		emit_hole(stream->slot, type, length, TW_REASON_ZERO_COPY);
	else if (call.way == WAY_MESSAGE)
		emit_message(stream->slot, base, length, compat);
	else if (call.way == WAY_MESSAGES)
		emit_messages(stream->slot, base, length, compat);
	else if (call.way == WAY_BUFFER && have_user_dynptr && length <= TW_RECORD_DATA)
		emit_buffer(stream->slot, type, base, length);
	else
		emit_list(stream->slot, type, base, count, length, call.way == WAY_LIST, compat);
	return 0;
}
