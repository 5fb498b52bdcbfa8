/* Who has a stream open, and how much is in it: the daemon gives a stream up only when nobody can write
 * to it any more and what was written has been read.
 *
 * What is found goes into a map with one element a stream, and not into the iterator's output: a process
 * may have a stream open a million times. For the same reason this is not a task_file iterator, which
 * comes by at each file of each process that shares a table of them. */
#pragma once

#include "stream.bpf.h"

enum {
	/* Files between two returns to user space, which may have had enough: a millisecond. */
	LOOK_STEP = 1 << 14,
	/* Shared tables that are remembered, a power of two. */
	LOOK_TABLES_BITS = 12,
};

/* By slot. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TW_STREAMS);
	__type(key, u32);
	__type(value, struct tw_held);
} held SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tw_look);
} looks SEC(".maps");

struct table {
	u64 files;
	u32 look;	/* which has walked all of it */
	u32 pad;
};

/* Tables of several tasks, by a part of their address. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << LOOK_TABLES_BITS);
	__type(key, u32);
	__type(value, struct table);
} tables SEC(".maps");

struct walk {
	struct file **fds;
	u32 from;
	u32 pid;
	u32 look;
};

static __always_inline void note_holder(struct file *file, u32 fd, struct walk *walk)
{
	struct tw_stream stream;
	struct inode *inode;
	struct tw_held *held_now;
	u32 flags = 0;
	bool fifo;

	if (find_stream(file, END_WRITE, &stream))
		flags = TW_HOLDS_TO_WRITE;
	else if (!find_stream(file, END_READ, &stream))
		return;
	inode = BPF_CORE_READ(file, f_inode);
	fifo = (BPF_CORE_READ(inode, i_mode) & S_IFMT) == S_IFIFO;
	if (flags == 0 || (fifo && (BPF_CORE_READ(file, f_mode) & FMODE_READ)))
		flags |= TW_HOLDS_TO_READ;
	held_now = bpf_map_lookup_elem(&held, &stream.slot);
	if (!held_now)
		return;
	if (held_now->look != walk->look || held_now->stream != stream.id) {
		__builtin_memset(held_now, 0, sizeof(*held_now));
		held_now->stream = stream.id;
		held_now->look = walk->look;
		held_now->by[0].pid = walk->pid;
		held_now->by[0].fd = fd;
	} else if (held_now->by[0].pid != walk->pid) {
		held_now->by[1].pid = walk->pid;
		held_now->by[1].fd = fd;
	} else if (held_now->flags == flags) {
		return;
	}
	held_now->flags |= flags;
	held_now->unread = fifo ? pipe_unread(inode) : 0;
}

static long look_at_file(u32 i, struct walk *walk)
{
	u32 fd = walk->from + i;
	struct file *file = pointer_at(walk->fds + fd);

	if (file)
		note_holder(file, fd, walk);
	return 0;
}

/* The table of a task that shares it with others, if all of it was walked in this look. A table that is
 * made meanwhile may have the address of one that is gone: whose task is younger is never passed over. */
static __always_inline bool was_walked(struct task_struct *task, struct table *table, u64 files,
				       struct tw_look *look)
{
	return table->files == files && table->look == look->number &&
	       BPF_CORE_READ(task, start_boottime) < look->began;
}

SEC("iter/task")
int holders(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct files_struct *files;
	struct fdtable *fdt;
	struct table *table = NULL;
	struct tw_look *look;
	struct walk walk = {};
	u32 zero = 0, place, fds, step;

	look = bpf_map_lookup_elem(&looks, &zero);
	if (!task || !look)
		return 0;
	files = BPF_CORE_READ(task, files);
	if (!files || (task->pid != task->tgid && files == BPF_CORE_READ(task, group_leader, files)))
		return 0;
	if (look->left == 0) {
		look->left = LOOK_STEP;
		return 1;	/* this task once more */
	}
	if (look->files != (u64)files || look->task != (u32)task->pid) {
		look->files = (u64)files;
		look->task = task->pid;
		look->from = 0;
	}
	if (BPF_CORE_READ(files, count.counter) > 1) {
		place = (u64)files * 0x9e3779b97f4a7c15ull >> (64 - LOOK_TABLES_BITS);
		table = bpf_map_lookup_elem(&tables, &place);
		if (table && look->from == 0 && was_walked(task, table, (u64)files, look))
			return 0;
	}
	fdt = BPF_CORE_READ(files, fdt);
	fds = BPF_CORE_READ(fdt, max_fds);
	walk.fds = BPF_CORE_READ(fdt, fd);
	walk.from = look->from;
	walk.pid = task->tgid;
	walk.look = look->number;
	step = fds > walk.from ? fds - walk.from : 0;
	if (step > look->left)
		step = look->left;
	bpf_loop(step, look_at_file, &walk, 0);
	look->left -= step;
	look->from = walk.from + step;
	if (look->from < fds) {
		look->left = LOOK_STEP;
		return 1;
	}
	look->task = 0;
	if (table) {
		table->files = (u64)files;
		table->look = look->number;
	}
	return 0;
}
