/* Bytes that io_uring moves: no system call has them in its arguments, the completion tells. */
#pragma once

#include "claims.bpf.h"

/* include/uapi/linux/io_uring.h: those that move bytes of a file. */
enum {
	OP_READV = 1,
	OP_WRITEV = 2,
	OP_READ_FIXED = 4,
	OP_WRITE_FIXED = 5,
	OP_SENDMSG = 9,
	OP_READ = 22,
	OP_WRITE = 23,
	OP_SEND = 26,
	OP_SPLICE = 30,
	OP_TEE = 33,
	OP_SEND_ZC = 47,
	OP_SENDMSG_ZC = 48,
	OP_READV_FIXED = 60,
	OP_WRITEV_FIXED = 61,
};

enum {
	SPLICE_F_FD_IN_FIXED = 1u << 31,	/* the source is a number in the ring's own table */
};

static __always_inline void uring_moved(struct io_kiocb *request, enum end end, u64 length, bool buffer)
{
	struct file *file = BPF_CORE_READ(request, file);
	struct io_rw *moved = (void *)request;
	struct tw_stream stream;
	u32 type = end == END_READ ? TW_READ : TW_DATA;
	u64 base;

	if (!file || !find_stream(file, end, &stream))
		return;
	base = buffer ? BPF_CORE_READ(moved, addr) : 0;
	if (end == END_READ)
		note_reader(&stream, base);
	/* Lists of buffers need not be there any more; a buffer is, until its program hears of the end. */
	if (!base)
		emit_hole(&stream, type, length, TW_REASON_ZERO_COPY);
	else if (have_user_dynptr && length <= TW_RECORD_DATA)
		emit_buffer(&stream, type, base, length);
	else
		emit_list(&stream, type, base, 0, length, false, false);
}

/* The other end of a splice. */
static __always_inline void uring_taken(struct io_kiocb *request, u64 length)
{
	struct io_splice *moved = (void *)request;
	struct file *file;

	if (!bpf_core_field_exists(moved->splice_fd_in) ||
	    (BPF_CORE_READ(moved, flags) & SPLICE_F_FD_IN_FIXED))
		return;
	file = task_file(bpf_get_current_task_btf(), (u32)BPF_CORE_READ(moved, splice_fd_in));
	if (file)
		taken_unseen(file, length);
}

static __always_inline int completed(struct io_kiocb *request)
{
	int moved;

	/* 5.18: before it the event does not name the request. */
	if (!bpf_core_field_exists(request->cqe.res))
		return 0;
	moved = BPF_CORE_READ(request, cqe.res);
	if (moved <= 0)
		return 0;
	switch (BPF_CORE_READ(request, opcode)) {
	case OP_SPLICE:
		uring_taken(request, moved);
		uring_moved(request, END_WRITE, moved, false);
		break;
	case OP_WRITE:
	case OP_WRITE_FIXED:
		uring_moved(request, END_WRITE, moved, true);
		break;
	case OP_WRITEV:
	case OP_WRITEV_FIXED:
	case OP_SEND:
	case OP_SENDMSG:
	case OP_SEND_ZC:
	case OP_SENDMSG_ZC:
	case OP_TEE:
		uring_moved(request, END_WRITE, moved, false);
		break;
	case OP_READ:
	case OP_READ_FIXED:
		uring_moved(request, END_READ, moved, true);
		break;
	case OP_READV:
	case OP_READV_FIXED:
		uring_moved(request, END_READ, moved, false);
		break;
	}
	return 0;
}

SEC("tp_btf/io_uring_complete")
int BPF_PROG(on_io_uring, void *ring, void *request)
{
	return completed(request);
}

/* What /sys/kernel/tracing/events/io_uring/io_uring_complete/format says. */
struct io_uring_complete_event {
	u64 common;
	void *ring;
	void *request;
};

/* By way of perf, as in tracepoint.bpf.h. */
SEC("tp/io_uring/io_uring_complete")
int on_io_uring_perf(struct io_uring_complete_event *event)
{
	return completed(event->request);
}
