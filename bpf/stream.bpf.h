/* From a file descriptor to the stream it is. */
#pragma once

#include "maps.bpf.h"

static __always_inline u8 file_kind(struct inode *inode, struct super_block *sb)
{
	u32 type = BPF_CORE_READ(inode, i_mode) & S_IFMT;
	u64 magic = BPF_CORE_READ(sb, s_magic);

	switch (type) {
	case S_IFIFO:
		return magic == PIPEFS_MAGIC ? TW_KIND_PIPE : TW_KIND_FIFO;
	case S_IFREG:
		return TW_KIND_FILE;
	case S_IFSOCK:
		return TW_KIND_SOCKET;
	case S_IFCHR:
		if (magic == DEVPTS_SUPER_MAGIC)
			return TW_KIND_TTY;
		if (BPF_CORE_READ(inode, i_rdev) == NULL_RDEV)
			return TW_KIND_NULL;
	}
	return TW_KIND_OTHER;
}

/* Says what the task's fd is. Registers nothing. */
static __always_inline void describe_file(struct task_struct *task, u32 fd, struct tw_file *out)
{
	struct file *file = task_file(task, fd);
	struct super_block *sb;
	struct inode *inode;

	__builtin_memset(out, 0, sizeof(*out));
	out->slot = TW_NO_SLOT;
	if (!file)
		return;
	inode = BPF_CORE_READ(file, f_inode);
	sb = BPF_CORE_READ(inode, i_sb);
	out->inode = (u64)inode;
	out->sb = (u64)sb;
	out->ino = BPF_CORE_READ(inode, i_ino);
	out->dev = BPF_CORE_READ(sb, s_dev);
	out->kind = file_kind(inode, sb);
}

/* The stream that a file is, or NULL. The address is looked up first because most writes end there. */
static __always_inline struct tw_stream *find_stream(struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	u64 key = (u64)inode;
	struct tw_stream *stream = bpf_map_lookup_elem(&streams, &key);

	if (!stream)
		return NULL;
	if (stream->ino != BPF_CORE_READ(inode, i_ino) || stream->sb != (u64)BPF_CORE_READ(inode, i_sb))
		return NULL;
	return stream;
}

/* Makes the described file a stream, or finds that it is one already. Leaves TW_NO_SLOT where it
 * can't or must not be one. */
static __always_inline void register_stream(struct tw_file *file)
{
	struct tw_stream stream = { .sb = file->sb, .ino = file->ino };
	struct tw_stream *known;
	struct tw_state *state;
	u64 key = file->inode;
	u32 slot;

	if (file->kind == TW_KIND_NONE || file->kind == TW_KIND_NULL)
		return;
	known = bpf_map_lookup_elem(&streams, &key);
	if (known && known->ino == file->ino && known->sb == file->sb) {
		file->slot = known->slot;
		file->stream = known->id;
		return;
	}
	if (bpf_map_pop_elem(&free_slots, &slot))
		return;
	state = bpf_map_lookup_elem(&states, &slot);
	if (!state)
		return;
	stream.slot = slot;
	stream.id = __sync_fetch_and_add(&next_stream, 1);
	state->written = 0;
	state->reserved = 0;
	state->consumed = 0;
	state->lost[0] = state->lost[1] = state->lost[2] = state->lost[3] = 0;
	state->id = stream.id;
	if (bpf_map_update_elem(&streams, &key, &stream, BPF_ANY)) {
		bpf_map_push_elem(&free_slots, &slot, 0);
		return;
	}
	file->slot = slot;
	file->stream = stream.id;
}
