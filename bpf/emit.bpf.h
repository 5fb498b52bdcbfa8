/* Puts what one write left in a stream, or one read took out of it, into the ring: bytes where they can
 * be copied, a hole of the right length where not. A position is given after room was reserved and never otherwise than by
 * adding the whole length, so that:
 *  - positions count every byte, captured or not;
 *  - whoever sees a record knows that all records of smaller positions are in the ring already,
 *    although maybe behind it, or will never come. */
#pragma once

#include "place.bpf.h"
#include "stream.bpf.h"

extern int bpf_probe_read_user_dynptr(const struct bpf_dynptr *ptr, u32 off, u32 size,
				      const void *unsafe_ptr__ign) __ksym __weak;

enum {
	UIO_MAXIOV = 1024,	/* include/uapi/linux/uio.h */
	MAX_RW_COUNT = 0x7ffff000,	/* include/linux/fs.h */
	/* Of one call, which may name a million of them: half a millisecond, with preemption off. Programs
	 * that send in batches have some ten a message. */
	MOST_BUFFERS = 16 * UIO_MAXIOV,
};

/* A size that no ring can give: the verifier wants a dynptr whether there is room or not. */
#define NO_ROOM (1u << 31)

/* Where the bytes of a write lie in user memory: one buffer, or a list of them. */
struct user_bytes {
	u64 base;	/* of what is left of the present buffer */
	u64 left;
	u64 iov;	/* address of the next struct iovec */
	u64 iovs;	/* how many are left */
	bool compat;	/* the iovecs are of 32 bits */
};

/* A write that takes several steps or records. It lives in a map and not on the stack because the
 * verifier follows the values of stack slots through each round of a loop, and gives up. */
struct job {
	struct user_bytes from;
	u64 left;	/* of the write */
	u64 record;	/* of the present record, bytes to be copied yet */
	u64 done;	/* of the present record, bytes copied */
	struct tw_stream stream;
	u32 type;	/* TW_DATA or TW_READ */
	struct tw_data head;
	u32 taken;	/* by a thread on this CPU that is at work on it */
	bool skip;	/* no room, or the writer's memory can't be read: walk on without copying */
	u8 step[TW_COPY_STEP];	/* on the way, where the kernel can't copy user memory into a dynptr */
};

/* A CPU has one job at a time, since programs run with preemption off; and should one that is called
 * otherwise be preempted, the others on that CPU leave its job alone. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct job);
} jobs SEC(".maps");

static __always_inline struct job *this_job(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&jobs, &zero);
}

static __always_inline u64 wake_up_flags(void)
{
	if (!consumer_waits)
		return BPF_RB_NO_WAKEUP;
	consumer_waits = 0;
	return BPF_RB_FORCE_WAKEUP;
}

/* A stream may hold as much of the ring as is still free: one flood takes half of it, two a third each,
 * and so on, and what is left serves all others. Only beyond a small share the ring is asked, because
 * that shares a cache line with its consumer. Signed: a daemon that took over counts anew while records
 * come, and may be off by some. */
static __always_inline bool within_budget(struct tw_state *state, u64 size)
{
	long long held = state->reserved + TW_RING_ROOM(size) - state->consumed;

	return held <= (long long)stream_share ||
	       held <= (long long)(ring_size - bpf_ringbuf_query(&output, BPF_RB_AVAIL_DATA));
}

/* NULL where the slot is another stream's by now. */
static __always_inline struct tw_state *state_of(const struct tw_stream *stream)
{
	u32 slot = stream->slot;
	struct tw_state *state = bpf_map_lookup_elem(&states, &slot);

	return state && state->id == stream->id ? state : NULL;
}

/* Position of the next byte at the end that the record is of. What a reader was told is no longer so
 * when somebody has opened the stream to write again. */
static __always_inline u64 advance(struct tw_state *state, u32 type, u64 length)
{
	if (type == TW_READ)
		return __sync_fetch_and_add(&state->read, length);
	/* The last writer of a named pipe may be followed by another one. */
	if (state->at_end)
		state->at_end = 0;
	return __sync_fetch_and_add(&state->written, length);
}

/* Whether the next bytes that are taken out will be seen too. */
static __always_inline void note_reader(const struct tw_stream *stream, bool seen)
{
	struct tw_state *state = state_of(stream);

	if (state && state->reader_seen != seen)
		state->reader_seen = seen;
}

/* Of a write, what is not copied because the other end will bring it: a reader has been seen there. */
static __always_inline u64 copied_length(struct tw_state *state, u32 type, u64 length)
{
	if (type == TW_DATA && state->reader_seen && length > TW_WRITE_HEAD)
		return TW_WRITE_HEAD;
	return length;
}

/* Of the current process, in its own pid namespace. */
static __always_inline u32 own_ns_pid(void)
{
	struct task_struct *leader = bpf_get_current_task_btf()->group_leader;
	struct pid *pid = leader->thread_pid;

	return pid ? MEMBER(upid_at(pid, pid->level), upid, nr) : 0;
}

static __always_inline void fill_head(struct tw_data *head, const struct tw_stream *stream, u32 type,
				      u32 length)
{
	u64 id = bpf_get_current_pid_tgid();

	head->type = type;
	head->slot = stream->slot;
	head->stream = stream->id;
	head->time = bpf_ktime_get_boot_ns();
	head->length = length;
	head->pid = id >> 32;
	head->tid = id;
	/* Of who reads nobody asks. */
	head->ns_pid = type == TW_DATA ? own_ns_pid() : 0;
	head->pad = 0;
	__builtin_memcpy(head->comm, __builtin_assume_aligned(bpf_get_current_task_btf()->comm, 8),
			 sizeof(head->comm));
}

/* Bytes that can't be copied where this runs. More than a record can tell (splice(2) knows no limit) is
 * told by the positions of what follows. */
static __always_inline void emit_hole(const struct tw_stream *stream, u32 type, u64 length, u32 reason)
{
	struct tw_state *state = state_of(stream);
	struct tw_data *head;

	if (!state)
		return;
	head = length <= (u32)-1 && within_budget(state, sizeof(*head)) ?
		       bpf_ringbuf_reserve(&output, sizeof(*head), 0) :
		       NULL;
	if (!head) {
		advance(state, type, length);
		return;
	}
	__sync_fetch_and_add(&state->reserved, TW_RING_ROOM(sizeof(*head)));
	fill_head(head, stream, type, length);
	if (type == TW_DATA)
		head->type = TW_HOLE;
	head->reason = reason;
	head->captured = 0;
	head->position = advance(state, type, length);
	bpf_ringbuf_submit(head, wake_up_flags());
}

/* What a call of many parts may still have copied. */
struct allowance {
	u32 bytes;
	u32 buffers;
};

static __always_inline struct allowance one_call(void)
{
	return (struct allowance){ .bytes = MAX_RW_COUNT, .buffers = MOST_BUFFERS };
}

/* Whether a part of it may be; else it is a hole. The parts' lengths stand in memory of the program, which
 * may claim what it likes: together they get what one write may have. */
static __always_inline bool may_copy(struct allowance *left, const struct tw_stream *stream, u64 length,
				     u64 buffers)
{
	if (length > left->bytes || buffers > left->buffers) {
		emit_hole(stream, TW_DATA, length, TW_REASON_FAULT);
		return false;
	}
	left->bytes -= length;
	left->buffers -= buffers;
	return true;
}

/* Next buffer of the list. */
static __always_inline void next_buffer(struct user_bytes *from)
{
	struct { u64 base, length; } iov = {};
	struct { u32 base, length; } iov32 = {};

	if (from->compat) {
		bpf_probe_read_user(&iov32, sizeof(iov32), (void *)from->iov);
		iov.base = iov32.base;
		iov.length = iov32.length;
		from->iov += sizeof(iov32);
	} else {
		bpf_probe_read_user(&iov, sizeof(iov), (void *)from->iov);
		from->iov += sizeof(iov);
	}
	from->base = iov.base;
	from->left = iov.length;
	from->iovs--;
}

static __always_inline long copy_bytes(struct bpf_dynptr *record, u64 at, u64 size, struct job *job)
{
	if (have_user_dynptr)
		return bpf_probe_read_user_dynptr(record, at, size, (void *)job->from.base);
	if (bpf_probe_read_user(job->step, size, (void *)job->from.base))
		return -1;
	return bpf_dynptr_write(record, at, job->step, size, 0);
}

/* One buffer, or one step of it. Returns 1 when the record is full. */
static long copy_step(u32 i, struct bpf_dynptr *record)
{
	struct job *job = this_job();
	u64 size;

	if (!job || !job->record)
		return 1;
	if (!job->from.left) {
		if (!job->from.iovs)
			return 1;
		next_buffer(&job->from);
		return 0;
	}
	size = job->record;
	if (size > job->from.left)
		size = job->from.left;
	if (size > TW_COPY_STEP)
		size = TW_COPY_STEP;
	/* clang would test a shifted copy of size, and the verifier lose the bound. */
	asm volatile("" : "+r"(size));
	if (size > TW_COPY_STEP)
		return 1;
	if (!job->skip && copy_bytes(record, sizeof(struct tw_data) + job->done, size, job))
		job->skip = true;
	if (!job->skip)
		job->done += size;
	job->from.base += size;
	job->from.left -= size;
	job->record -= size;
	return 0;
}

/* One record of at most TW_RECORD_DATA. Returns 1 when the write is done. */
static long copy_record(u32 i, void *unused)
{
	struct job *job = this_job();
	struct tw_state *state;
	struct bpf_dynptr record;
	u64 length, copied, size;
	bool room;

	if (!job || !job->left)
		return 1;
	state = state_of(&job->stream);
	if (!state)
		return 1;
	length = job->left;
	copied = copied_length(state, job->type, length);
	if (copied == length && length > TW_RECORD_DATA)
		copied = length = TW_RECORD_DATA;
	size = sizeof(job->head) + copied;
	room = !bpf_ringbuf_reserve_dynptr(&output, within_budget(state, size) ? size : NO_ROOM, 0, &record);
	fill_head(&job->head, &job->stream, job->type, length);
	job->head.position = advance(state, job->type, length);
	job->left -= length;
	job->record = copied;
	job->done = 0;
	job->skip = !room;
	bpf_loop(copied / TW_COPY_STEP + 2 * job->from.iovs + 2, copy_step, &record, 0);
	if (!room) {
		bpf_ringbuf_discard_dynptr(&record, BPF_RB_NO_WAKEUP);
		return 0;
	}
	__sync_fetch_and_add(&state->reserved, TW_RING_ROOM(size));
	job->head.captured = job->done;
	job->head.reason = TW_REASON_NONE;
	if (job->done < copied)
		job->head.reason = TW_REASON_FAULT;
	else if (copied < length)
		job->head.reason = TW_REASON_UNREAD;
	bpf_dynptr_write(&record, 0, &job->head, sizeof(job->head), 0);
	bpf_ringbuf_submit_dynptr(&record, wake_up_flags());
	return 0;
}

/* The common case: one buffer, one record, one copy. */
static __always_inline void emit_buffer(const struct tw_stream *stream, u32 type, u64 base, u64 length)
{
	struct tw_state *state = state_of(stream);
	struct tw_data head = {};
	struct bpf_dynptr ring;
	u64 copied, size;

	if (!state)
		return;
	copied = copied_length(state, type, length);
	size = sizeof(head) + copied;
	if (bpf_ringbuf_reserve_dynptr(&output, within_budget(state, size) ? size : NO_ROOM, 0, &ring)) {
		advance(state, type, length);
		bpf_ringbuf_discard_dynptr(&ring, BPF_RB_NO_WAKEUP);
		return;
	}
	__sync_fetch_and_add(&state->reserved, TW_RING_ROOM(size));
	fill_head(&head, stream, type, length);
	head.captured = copied;
	if (copied < length)
		head.reason = TW_REASON_UNREAD;
	head.position = advance(state, type, length);
	if (bpf_probe_read_user_dynptr(&ring, sizeof(head), copied, (void *)base)) {
		head.captured = 0;
		head.reason = TW_REASON_FAULT;
	}
	bpf_dynptr_write(&ring, 0, &head, sizeof(head), 0);
	bpf_ringbuf_submit_dynptr(&ring, wake_up_flags());
}

/* A list of buffers, a very large buffer, or an older kernel. */
static __always_inline void emit_list(const struct tw_stream *stream, u32 type, u64 base, u64 iovs,
				      u64 length, bool list, bool compat)
{
	struct job *job = this_job();

	if (!job)
		return;
	if (__sync_lock_test_and_set(&job->taken, 1)) {
		emit_hole(stream, type, length, TW_REASON_FAULT);
		return;
	}
	job->stream = *stream;
	job->type = type;
	job->left = length;
	job->from.compat = compat;
	job->from.iov = base;
	job->from.iovs = !list ? 0 : iovs > UIO_MAXIOV ? UIO_MAXIOV : iovs;
	job->from.base = base;
	job->from.left = list ? 0 : length;
	bpf_loop(length / TW_RECORD_DATA + 1, copy_record, NULL, 0);
	job->taken = 0;
}
