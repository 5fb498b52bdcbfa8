/* All maps and global variables of the capture programs. */
#pragma once

#include "kernel.bpf.h"

/* News of containers. Small, so that it never fills: a START has 696 bytes. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, TW_EVENTS_RING);
} events SEC(".maps");

/* What containers write; user space sets the size before it loads the object. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 20);
} output SEC(".maps");

/* Which files are streams, by tw_file::key. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TW_STREAMS);
	__type(key, u64);
	__type(value, struct tw_stream);
} streams SEC(".maps");

/* Positions and counters, read by user space without a system call. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TW_STREAMS);
	__type(key, u32);
	__type(value, struct tw_state);
} states SEC(".maps");

/* Slots of `states` that are free; user space fills it and gives slots back. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, TW_STREAMS);
	__type(value, u32);
} free_slots SEC(".maps");

/* Places that have a run: cgroup ids and pid namespaces. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TW_RUNS * 2);
	__type(key, u64);
	__type(value, struct tw_run);
} runs SEC(".maps");

struct tw_init {
	u64 run;
	u32 slots[2];	/* of its streams, TW_NO_SLOT if none */
	u64 places[2];	/* its keys in `runs` */
};

/* First processes of registered runs, by host pid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TW_RUNS);
	__type(key, u32);
	__type(value, struct tw_init);
} inits SEC(".maps");

/* Who takes over pinned maps looks here first. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tw_about);
} about SEC(".maps");

/* Set by user space between open and load. */
const volatile u64 ring_size = 64 << 20;	/* of `output` */
const volatile u64 stream_share = 256 << 10;	/* ring bytes that a stream may always hold unconsumed */
const volatile bool have_user_dynptr = false;	/* bpf_probe_read_user_dynptr is there (6.16) */

/* Set by user space at any time. */
bool register_new = false;	/* the exec program registers containers */
/* Which system calls the programs on sys_exit look at, by number: native ones, then 32-bit ones. */
u64 traced_calls[2][TW_CALLS / 64] = {};
u32 seed_pass = 0;		/* enum seed_pass */
u32 seed_pid = 0;		/* the process that SEED_PID registers */
u32 warm_map = 0;		/* id of the ring that is to be touched */
u32 warm_pages = 0;		/* how many pages of it */
u64 warm_from = 0;		/* from this byte on */

/* The consumer says 1 before it waits; who wakes it says 0. So no record but the first pays for a
 * wake-up (11 us each on a virtual machine). */
u32 consumer_waits = 0;

u32 stream_types = 0;	/* of which a stream has ever been, a bit each: see type_bit() */
u64 next_stream = 1;
u64 next_run = 1;
u64 starts_lost = 0;	/* STARTs that found no room: user space seeds again */
