/* What sendmsg(2) and sendmmsg(2) put into a socket. */
#pragma once

#include "emit.bpf.h"

/* include/linux/socket.h and net/compat.h: the list of buffers of a struct msghdr, and where it stands;
 * of a struct mmsghdr, where the number of bytes stands and where the next one begins. */
struct message_buffers {
	u64 iov, iovs;
};

struct message_buffers32 {
	u32 iov, iovs;
};

enum {
	MESSAGE_BUFFERS = 16,
	MESSAGE_BUFFERS32 = 8,
	MESSAGE_SENT = 56,
	MESSAGE_SENT32 = 28,
	MESSAGE_SIZE = 64,
	MESSAGE_SIZE32 = 32,
};

/* Not on the stack, of which four calls deep there is little left. */
struct messages {
	struct tw_stream stream;
	u64 next;
	struct allowance left;
	bool compat;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct messages);
} message_lists SEC(".maps");

static __always_inline struct messages *this_list(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&message_lists, &zero);
}

/* None, where the message cannot be read any more: its bytes are a hole. */
static __always_inline struct message_buffers buffers_of(u64 address, bool compat)
{
	struct message_buffers buffers = {};
	struct message_buffers32 buffers32 = {};

	if (compat) {
		bpf_probe_read_user(&buffers32, sizeof(buffers32), (void *)(address + MESSAGE_BUFFERS32));
		buffers.iov = buffers32.iov;
		buffers.iovs = buffers32.iovs;
	} else {
		bpf_probe_read_user(&buffers, sizeof(buffers), (void *)(address + MESSAGE_BUFFERS));
	}
	return buffers;
}

static __always_inline void emit_message(const struct tw_stream *stream, u64 address, u64 length,
					 bool compat)
{
	struct message_buffers buffers = buffers_of(address, compat);

	emit_list(stream, TW_DATA, buffers.iov, buffers.iovs, length, true, compat);
}

static long emit_next_message(u32 i, void *unused)
{
	struct messages *list = this_list();
	struct message_buffers buffers;
	u64 at;
	u32 sent = 0;

	if (!list)
		return 1;
	at = list->next;
	list->next += list->compat ? MESSAGE_SIZE32 : MESSAGE_SIZE;
	if (bpf_probe_read_user(&sent, sizeof(sent),
				(void *)(at + (list->compat ? MESSAGE_SENT32 : MESSAGE_SENT))))
		return 1;
	/* It stands in memory of the program, which may claim what it likes. */
	if (!sent || sent > MAX_RW_COUNT)
		return 0;
	buffers = buffers_of(at, list->compat);
	if (may_copy(&list->left, &list->stream, sent, buffers.iovs))
		emit_list(&list->stream, TW_DATA, buffers.iov, buffers.iovs, sent, true, list->compat);
	return 0;
}

static __always_inline void emit_messages(const struct tw_stream *stream, u64 address, u64 count,
					  bool compat)
{
	struct messages *list = this_list();

	if (!list)
		return;
	list->stream = *stream;
	list->next = address;
	list->left = one_call();
	list->compat = compat;
	bpf_loop(count > UIO_MAXIOV ? UIO_MAXIOV : count, emit_next_message, NULL, 0);
}
