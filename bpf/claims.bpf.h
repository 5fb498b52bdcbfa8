/* Reads that are none. At the end of a system call its arguments are known and not the file that it went
 * to: a container's process that reads a pipe of its own, and has stdout's made of that descriptor
 * meanwhile, seems to have read from stdout, and so does one whose call is answered by seccomp(2)'s
 * notifier. What the reader got is what is logged, so that would be a way to forge lines, and to hide
 * others behind an end that never was.
 *
 * Readers outside of the container are believed. Of those inside, who may well take what their
 * container wrote, only those are asked for more that can claim at all. */
#pragma once

#include "emit.bpf.h"

enum {
	MOST_FILTERS = 16,	/* of one task that are looked at; runtimes install one or two */
};

/* It shares its descriptors, or somebody may answer its calls. */
static __always_inline bool may_claim(struct task_struct *task)
{
	struct seccomp_filter *filter = NULL;

	if (task->files && task->files->count.counter > 1)
		return true;
	if (!bpf_core_field_exists(filter->notif))
		return false;
	filter = BPF_CORE_READ(task, seccomp.filter);
	for (int i = 0; filter; i++) {
		if (i == MOST_FILTERS || BPF_CORE_READ(filter, notif))
			return true;
		filter = BPF_CORE_READ(filter, prev);
	}
	return false;
}

/* That many bytes less than were written are in the pipe. A write that is not over yet has bytes there
 * that are not counted, and makes a true read look like a claim; it is not the other way round. */
static __always_inline bool is_missing(struct file *file, const struct tw_state *state, u64 length)
{
	u64 unread = pipe_unread(BPF_CORE_READ(file, f_inode));

	return state->read + length + unread <= state->written;
}

/* The current task is of the container whose stream it is, and has no business reading there. */
static __always_inline bool is_intruder(struct task_struct *task, struct tw_state *state)
{
	if (is_member(task, state->place))
		return state->guarded;
	if (!state->guarded)
		state->guarded = 1;
	return false;
}

/* Whether the current task took so many bytes out of the stream, as its call says. */
static __always_inline bool may_have_taken(struct file *file, const struct tw_stream *stream, u64 length)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tw_state *state = state_of(stream);

	return state && (!is_intruder(task, state) || !may_claim(task) || is_missing(file, state, length));
}

/* Bytes went out of the file, if it is a stream's, and nobody can be seen to get them. */
static __always_inline void taken_unseen(struct file *file, u64 length)
{
	struct tw_stream stream;

	if (!find_stream(file, END_READ, &stream) || !may_have_taken(file, &stream, length))
		return;
	note_reader(&stream, false);
	emit_hole(&stream, TW_READ, length, TW_REASON_ZERO_COPY);
}

/* Nobody can write to the pipe any more, and nothing is in it. */
static __always_inline bool is_at_end(struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct pipe_inode_info *pipe;

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFIFO)
		return true;
	pipe = BPF_CORE_READ(inode, i_pipe);
	return !BPF_CORE_READ(pipe, writers) && BPF_CORE_READ(pipe, head) == BPF_CORE_READ(pipe, tail);
}
