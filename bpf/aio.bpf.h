/* Bytes that Linux aio moves: io_submit names requests, and of those that are done when it returns,
 * which is all where a write needs no disk, the results stand in the ring of events that the program
 * has in its own memory. */
#pragma once

#include "emit.bpf.h"

/* include/uapi/linux/aio_abi.h and struct aio_ring in fs/aio.c, which is the same for libaio. */
enum {
	AIO_PWRITE = 1,
	AIO_PWRITEV = 8,
	AIO_RING_MAGIC = 0xa10a10a1,
	AIO_RING_HEADER = 32,
	AIO_MOST_REQUESTS = 1024,
	/* A result is found as far from the end as its request is from the end of the list; nearer if
	 * others are not done yet, farther if other threads' came behind. */
	AIO_OTHERS = 16,
	AIO_MOST_LOOKED_AT = 64,
};

struct aio_request {
	u64 data;
	u32 key, rw_flags;
	u16 opcode, priority;
	u32 fd;
	u64 buffer, bytes, offset;
};

struct aio_event {
	u64 data, request;
	long long result, result2;
};

struct aio_ring {
	u32 id, size, head, tail, magic, compatible, incompatible, header;
};

/* One call of io_submit. Not on the stack, of which four calls deep there is little left. */
struct submission {
	u64 ring;	/* what the program calls its context is the address of the ring */
	u64 requests;	/* address of the list of their addresses */
	u64 wanted;	/* the request whose result is looked for */
	long long result;
	u32 count;
	u32 size, tail;
	u32 from;	/* how far before the newest event the search begins */
	struct allowance left;
	bool compat;
	struct aio_request request;
	struct aio_event event;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct submission);
} submissions SEC(".maps");

static __always_inline struct submission *this_submission(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&submissions, &zero);
}

/* Newer ones first: the request may have been another one's before. */
static long match_event(u32 index, void *unused)
{
	struct submission *call = this_submission();
	u32 back, place;

	if (!call)
		return 1;
	back = call->from + index;
	if (back >= call->size)
		return 1;
	place = (call->tail + call->size - 1 - back) % call->size;
	if (bpf_probe_read_user(&call->event, sizeof(call->event),
				(void *)(call->ring + AIO_RING_HEADER + (u64)place * sizeof(call->event))))
		return 1;
	if (call->event.request != call->wanted)
		return 0;
	call->result = call->event.result;
	return 1;
}

static long note_request(u32 index, void *unused)
{
	struct submission *call = this_submission();
	struct tw_stream stream;
	struct file *file;
	u32 narrow = 0;
	bool list;

	if (!call)
		return 1;
	if (call->compat) {
		bpf_probe_read_user(&narrow, sizeof(narrow),
				    (void *)(call->requests + (u64)index * sizeof(narrow)));
		call->wanted = narrow;
	} else if (bpf_probe_read_user(&call->wanted, sizeof(call->wanted),
				       (void *)(call->requests + (u64)index * sizeof(call->wanted)))) {
		return 1;
	}
	if (bpf_probe_read_user(&call->request, sizeof(call->request), (void *)call->wanted))
		return 0;
	if (call->request.opcode != AIO_PWRITE && call->request.opcode != AIO_PWRITEV)
		return 0;
	file = task_file(bpf_get_current_task_btf(), call->request.fd);
	if (!file || !find_stream(file, END_WRITE, &stream))
		return 0;
	call->result = 0;
	call->from = call->count - 1 - index;
	call->from -= call->from < AIO_OTHERS ? call->from : AIO_OTHERS;
	bpf_loop(AIO_MOST_LOOKED_AT, match_event, NULL, 0);
	/* It stands in memory of the program, which may claim what it likes. */
	if (call->result <= 0 || call->result > MAX_RW_COUNT)
		return 0;
	list = call->request.opcode == AIO_PWRITEV;
	if (may_copy(&call->left, &stream, call->result, list ? call->request.bytes : 1))
		emit_list(&stream, TW_DATA, call->request.buffer, call->request.bytes, call->result, list,
			  call->compat);
	return 0;
}

static __always_inline void aio_submitted(u64 context, u64 requests, u64 count, bool compat)
{
	struct submission *call = this_submission();
	struct aio_ring ring;

	if (!call || bpf_probe_read_user(&ring, sizeof(ring), (void *)context) ||
	    ring.magic != AIO_RING_MAGIC || !ring.size)
		return;
	call->ring = context;
	call->requests = requests;
	call->compat = compat;
	call->left = one_call();
	call->size = ring.size;
	call->tail = ring.tail % ring.size;
	call->count = count > AIO_MOST_REQUESTS ? AIO_MOST_REQUESTS : count;
	bpf_loop(call->count, note_request, NULL, 0);
}
