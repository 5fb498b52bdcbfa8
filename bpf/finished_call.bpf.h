/* From the registers of a system call that is over to records of what it moved. */
#pragma once

#include "aio.bpf.h"
#include "claims.bpf.h"
#include "message.bpf.h"
#include "syscalls.bpf.h"
#include "warm.bpf.h"

/* splice(2) knows no limit of its own. Beyond this it would take minutes; and a program that makes its
 * calls claim more would come round to positions that were counted before. */
#define MOST_SPLICED (1ll << 36)

/* Of splice(2) the source, and of vmsplice(2) a pipe that can only be read. */
static __always_inline void taken_by_splice(struct task_struct *task, u32 fd, bool vmsplice, u64 length)
{
	struct file *file = task_file(task, fd);

	/* fs/splice.c: it goes by the file's mode, and writing comes first. */
	if (file && !(vmsplice && (BPF_CORE_READ(file, f_mode) & FMODE_WRITE)))
		taken_unseen(file, length);
}

/* That nobody can write any more a reader is told by 0, of a terminal by EIO. Asking for nothing gives
 * nothing, whatever is there, and a list of buffers may be empty. */
static __always_inline void note_end(struct file *file, const struct tw_stream *stream, struct call call,
				     u64 count)
{
	struct tw_state *state;

	if (call.way != WAY_BUFFER || !count || !is_at_end(file))
		return;
	state = state_of(stream);
	if (state)
		state->at_end = 1;
}

/* What one call put into the stream or took out of it, or that a reader was told of the end. */
static __always_inline void moved(struct file *file, const struct tw_stream *stream, struct call call,
				  u64 base, u64 count, long ret, bool compat)
{
	u32 type = call.end == END_READ ? TW_READ : TW_DATA;

	if (call.end == END_READ) {
		if (ret <= 0) {
			note_end(file, stream, call, count);
			return;
		}
		note_reader(stream, true);
	}
	if (call.way == WAY_NO_COPY)
		emit_hole(stream, type, ret, TW_REASON_ZERO_COPY);
	else if (call.way == WAY_MESSAGE)
		emit_message(stream, base, ret, compat);
	else if (call.way == WAY_MESSAGES)
		emit_messages(stream, base, ret, compat);
	else if (call.way == WAY_BUFFER && have_user_dynptr && ret <= TW_RECORD_DATA)
		emit_buffer(stream, type, base, ret);
	else
		emit_list(stream, type, base, count, ret, call.way == WAY_LIST, compat);
}

/* Records what a finished system call moved. Only what was really moved counts: ret > 0. Inlined with
 * a number that is known, it is no more than that call needs. */
static __always_inline int finished_call(struct pt_regs *regs, long ret, u64 nr, bool compat)
{
	struct call call = compat ? compat_call(nr) : native_call(nr);
	struct task_struct *task;
	struct tw_stream stream;
	struct file *file;
	u64 fd, base, count;
	u32 arguments[3] = {};

	if (call.way == WAY_NONE || (ret <= 0 && call.end == END_WRITE))
		return 0;
	/* Nothing was moved: a program made its call say so, by seccomp(2)'s notifier for one. */
	if (ret > (call.way == WAY_NO_COPY ? MOST_SPLICED : MAX_RW_COUNT))
		return 0;
	task = bpf_get_current_task_btf();
	fd = compat ? regs->bx : regs->di;
	base = compat ? (u32)regs->cx : regs->si;
	count = compat ? (u32)regs->dx : regs->dx;
	if (call.way == WAY_SOCKET) {
		call = socket_call((u32)fd);
		if (call.way == WAY_NONE || bpf_probe_read_user(arguments, sizeof(arguments), (void *)base))
			return 0;
		fd = arguments[0];
		base = arguments[1];
		count = arguments[2];
	}
	if (is_splice(nr, compat) || is_vmsplice(nr, compat))
		taken_by_splice(task, fd, is_vmsplice(nr, compat), ret);
	if (call.way == WAY_REQUESTS) {
		aio_submitted(compat ? (u32)fd : fd, count, ret, compat);
		return 0;
	}
	if (call.place == FD_SECOND)
		fd = base;
	else if (call.place == FD_THIRD)
		fd = count;
	file = task_file(task, (u32)fd);
	if (!file || !find_stream(file, call.end, &stream))
		return 0;
	if (call.end == END_READ && ret > 0 && !may_have_taken(file, &stream, ret))
		return 0;
	moved(file, &stream, call, base, count, ret, compat);
	return 0;
}

static __always_inline bool is_compat(struct task_struct *task)
{
	return task->thread_info.status & TS_COMPAT;
}
