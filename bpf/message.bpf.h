/* What sendmsg(2) and sendmmsg(2) put into a socket. */
#pragma once

#include "emit.bpf.h"

/* include/linux/socket.h and net/compat.h: the members in use, and where the next of a list begins. */
struct user_message {
	u64 name, name_length, iov, iovs, control, control_length, flags;
	u32 sent, pad;
};
TW_ASSERT(sizeof(struct user_message) == 64, "struct mmsghdr");

struct user_message32 {
	u32 name, name_length, iov, iovs, control, control_length, flags;
	u32 sent;
};
TW_ASSERT(sizeof(struct user_message32) == 32, "struct compat_mmsghdr");

struct messages {
	struct tw_stream stream;
	u64 next;
	bool compat;
};

/* Where the message cannot be read any more, its bytes are a hole. */
static __always_inline void emit_message(const struct tw_stream *stream, u64 address, u64 length,
					 bool compat)
{
	struct user_message message = {};
	struct user_message32 message32 = {};

	if (compat) {
		bpf_probe_read_user(&message32, offsetof(struct user_message32, sent), (void *)address);
		message.iov = message32.iov;
		message.iovs = message32.iovs;
	} else {
		bpf_probe_read_user(&message, offsetof(struct user_message, sent), (void *)address);
	}
	emit_list(stream, TW_DATA, message.iov, message.iovs, length, true, compat);
}

static long emit_next_message(u32 i, struct messages *messages)
{
	u32 sent = 0;
	u64 at = messages->next;
	u64 sent_at = messages->compat ? offsetof(struct user_message32, sent) :
					 offsetof(struct user_message, sent);

	messages->next += messages->compat ? sizeof(struct user_message32) : sizeof(struct user_message);
	if (bpf_probe_read_user(&sent, sizeof(sent), (void *)(at + sent_at)))
		return 1;
	if (sent)
		emit_message(&messages->stream, at, sent, messages->compat);
	return 0;
}

static __always_inline void emit_messages(const struct tw_stream *stream, u64 address, u64 count,
					  bool compat)
{
	struct messages messages = { .stream = *stream, .next = address, .compat = compat };

	bpf_loop(count > UIO_MAXIOV ? UIO_MAXIOV : count, emit_next_message, &messages, 0);
}
