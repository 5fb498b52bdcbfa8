/* From a file to the stream it is. */
#pragma once

#include "maps.bpf.h"

/* The two ends of a stream. */
enum end {
	END_WRITE,	/* where the container's processes put bytes in */
	END_READ,	/* where a runtime, a logger or a terminal emulator takes them out */
};

/* What tells one file from another. Key and the rest must agree: addresses are reused at once. */
struct identity {
	u64 key;
	u64 sb;
	u64 ino;
	u32 generation;
	enum end end;	/* that a terminal's file stands for */
	bool pty;
};

/* A slot of a pipe's ring holds a page at most; 256 of them are what users may enlarge a pipe to. */
enum {
	PIPE_SLOTS = 256,
};

static __always_inline bool is_terminal(u32 rdev)
{
	u32 major = rdev >> 20;

	return major == TTY_MAJOR || major == TTYAUX_MAJOR ||
	       (major >= PTY_SLAVE_MAJOR && major <= PTY_SLAVE_MAJOR_LAST);
}

/* A terminal is the same by whichever device it was opened, and its two ends are files of different
 * inodes: it is known by the container's end. */
static __always_inline bool identify_terminal(struct file *file, struct identity *identity)
{
	struct tty_file_private *private = BPF_CORE_READ(file, private_data);
	struct tty_struct *tty = BPF_CORE_READ(private, tty), *link;
	u32 major;

	if (!tty)
		return false;
	major = BPF_CORE_READ(tty, driver, major);
	link = BPF_CORE_READ(tty, link);
	identity->pty = link;
	identity->end = END_WRITE;
	if (link && major == PTY_MASTER_MAJOR) {
		identity->end = END_READ;
		tty = link;
	}
	identity->key = (u64)tty;
	identity->sb = (u64)BPF_CORE_READ(tty, driver);
	identity->ino = BPF_CORE_READ(tty, index);
	identity->generation = 0;
	return true;
}

static __always_inline void identify_inode(struct inode *inode, struct identity *identity)
{
	identity->key = (u64)inode;
	identity->sb = (u64)MEMBER(inode, inode, i_sb);
	identity->ino = MEMBER(inode, inode, i_ino);
	identity->generation = MEMBER(inode, inode, i_generation);
}

/* Bytes that are in the pipe now, as far as they can be counted while others are at work there. */
static __noinline u64 pipe_unread(struct inode *inode)
{
	struct pipe_inode_info *pipe = BPF_CORE_READ(inode, i_pipe);
	u32 head, tail, mask;
	u64 bytes = 0;

	if (!pipe)
		return 0;
	head = BPF_CORE_READ(pipe, head);
	tail = BPF_CORE_READ(pipe, tail);
	mask = BPF_CORE_READ(pipe, ring_size) - 1;
	for (u32 i = 0; i < PIPE_SLOTS && tail != head; i++, tail++) {
		struct pipe_buffer *buffer = (void *)BPF_CORE_READ(pipe, bufs) +
					     (u64)(tail & mask) * bpf_core_type_size(struct pipe_buffer);

		bytes += BPF_CORE_READ(buffer, len);
	}
	return bytes;
}

/* Says what the task's fd is. Registers nothing. */
static __always_inline void describe_file(struct task_struct *task, u32 fd, struct tw_file *out)
{
	struct file *file = task_file(task, fd);
	struct identity identity = {};
	struct super_block *sb;
	struct inode *inode;
	u32 rdev, type;

	__builtin_memset(out, 0, sizeof(*out));
	out->slot = TW_NO_SLOT;
	if (!file)
		return;
	inode = BPF_CORE_READ(file, f_inode);
	sb = BPF_CORE_READ(inode, i_sb);
	out->kind = TW_KIND_OTHER;
	identify_inode(inode, &identity);
	type = BPF_CORE_READ(inode, i_mode) & S_IFMT;
	out->type = type >> S_IFMT_SHIFT;
	switch (type) {
	case S_IFIFO:
		out->kind = BPF_CORE_READ(sb, s_magic) == PIPEFS_MAGIC ? TW_KIND_PIPE : TW_KIND_FIFO;
		out->unread = pipe_unread(inode);
		break;
	case S_IFREG:
		out->kind = TW_KIND_FILE;
		break;
	case S_IFSOCK:
		out->kind = TW_KIND_SOCKET;
		break;
	case S_IFCHR:
		rdev = BPF_CORE_READ(inode, i_rdev);
		if (rdev == NULL_RDEV)
			out->kind = TW_KIND_NULL;
		else if (is_terminal(rdev) && identify_terminal(file, &identity))
			out->kind = identity.pty ? TW_KIND_PTY : TW_KIND_TTY;
	}
	out->key = identity.key;
	out->sb = identity.sb;
	out->ino = identity.ino;
	out->generation = identity.generation;
	out->dev = BPF_CORE_READ(sb, s_dev);
}

static __always_inline bool is_same(const struct tw_stream *stream, u64 sb, u64 ino, u32 generation)
{
	return stream->ino == ino && stream->sb == sb && stream->generation == generation;
}

/* Its run is over, and so are its bytes: what has its address now may be another terminal, which no
 * number tells from it. */
static __always_inline bool is_over(const struct tw_stream *stream)
{
	u32 slot = stream->slot;
	struct tw_state *state = bpf_map_lookup_elem(&states, &slot);

	return !state || (state->ended && state->at_end);
}

/* A bit for each type of file (S_IFMT) that a stream has ever been. Of the others, which is what most
 * programs write to where containers have pipes only, no map has to be asked. */
static __always_inline u32 type_bit(u32 type)
{
	return 1u << (type >> S_IFMT_SHIFT);
}

/* Whether the file is the given end of a stream, and of which. It is copied first and looked at then:
 * an element that is given up is soon used again. */
static __always_inline bool find_stream(struct file *file, enum end end, struct tw_stream *stream)
{
	struct inode *inode = MEMBER(file, file, f_inode);
	u32 type = MEMBER(inode, inode, i_mode) & S_IFMT;
	struct identity identity = {};
	struct tw_stream *found;
	bool terminal;

	if (!(stream_types & type_bit(type)))
		return false;
	terminal = type == S_IFCHR && is_terminal(MEMBER(inode, inode, i_rdev));
	if (!(MEMBER(file, file, f_mode) & (end == END_READ ? FMODE_READ : FMODE_WRITE)))
		return false;
	if (terminal) {
		if (!identify_terminal(file, &identity) || identity.end != end)
			return false;
	} else {
		/* Of other files than pipes no reader is the one who was written to. */
		if (end == END_READ && type != S_IFIFO)
			return false;
		identify_inode(inode, &identity);
	}
	found = bpf_map_lookup_elem(&streams, &identity.key);
	if (!found)
		return false;
	*stream = *found;
	return is_same(stream, identity.sb, identity.ino, identity.generation) &&
	       !(terminal && is_over(stream));
}

static __always_inline bool has_ended(struct tw_stream *stream)
{
	struct tw_state *state = bpf_map_lookup_elem(&states, &stream->slot);

	return !state || state->ended;
}

/* Makes the described file a stream of the run, or finds that it is one already. Leaves TW_NO_SLOT
 * where it can't or must not be one. */
static __always_inline void register_stream(struct tw_file *file, u64 run, u64 place, bool guarded)
{
	struct tw_stream stream = { .sb = file->sb, .ino = file->ino, .generation = file->generation };
	struct tw_stream *known;
	struct tw_state *state;
	u64 key = file->key;
	u32 slot;

	if (file->kind == TW_KIND_NONE || file->kind == TW_KIND_NULL)
		return;
	known = bpf_map_lookup_elem(&streams, &key);
	if (known && is_same(known, file->sb, file->ino, file->generation) && !has_ended(known)) {
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
	__builtin_memset(state, 0, sizeof(*state));
	state->written = file->unread;
	state->run = run;
	state->place = place;
	state->guarded = guarded;
	state->id = stream.id;
	__sync_fetch_and_or(&stream_types, type_bit(file->type << S_IFMT_SHIFT));
	if (bpf_map_update_elem(&streams, &key, &stream, BPF_ANY)) {
		bpf_map_push_elem(&free_slots, &slot, 0);
		return;
	}
	file->slot = slot;
	file->stream = stream.id;
}
