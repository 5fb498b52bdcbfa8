/* What the BPF programs and user space share: ring records and map values. Plain C, compiled by both.
 *
 * Two rings. `events` carries what happens to containers (START, END), `output` what they write. They
 * are apart so that a flood of output never costs the news of a container. A START is reserved before
 * its streams are registered, so whoever sees a data record finds its START in `events` already. */
#pragma once

#ifdef __cplusplus
#include <cstddef>
#include <cstdint>
typedef std::uint8_t u8;
typedef std::uint16_t u16;
typedef std::uint32_t u32;
typedef std::uint64_t u64;
#define TW_ASSERT static_assert
#else
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
#include <stdbool.h>
#define TW_ASSERT _Static_assert
#endif

enum {
	TW_COMM = 16,		/* TASK_COMM_LEN */
	TW_CGROUP_NAME = 128,	/* longest known leaf: "cri-containerd-<64 hex>.scope" has 86 */
	TW_CGROUP_LEVELS = 4,	/* enough for …/<id>/init.scope and …/libpod-<id>.scope/container */

	/* Streams at once. 128 bytes each in a map that is always allocated: 2 MiB; two streams a
	 * container make it 8192 containers, 8 times what a host is known to run. */
	TW_STREAMS = 16384,
	/* Runs whose first exec was seen; a run leaves when it ends. */
	TW_RUNS = 16384,
	TW_EVENTS_RING = 1 << 20,
	/* One record at most; larger writes make several. 1 MiB is what a pipe can be enlarged to by
	 * users, and 1/64 of the default ring. */
	TW_RECORD_DATA = 1 << 20,
	/* Of a write whose bytes the reader's side will bring. Enough to tell writers apart and, since
	 * no longer write to a pipe is atomic (PIPE_BUF), for all that a pipe may hold in pieces. */
	TW_WRITE_HEAD = 4096,
	/* More than the number of any system call that is looked at, and a multiple of 64. */
	TW_CALLS = 384,
	/* Copy step where the kernel lacks bpf_probe_read_user_dynptr (before 6.16), and for iovecs. */
	TW_COPY_STEP = 16384,
};

/* What a record takes up in a ring: its header, and up to the next multiple of 8. */
#define TW_RING_ROOM(size) (((u64)(size) + 8 + 7) & ~7ull)

enum tw_record_type {
	TW_DATA = 1,	/* bytes of a stream */
	TW_HOLE = 2,	/* length known, bytes not */
	TW_START = 3,	/* a container's run is registered */
	TW_END = 4,	/* its first process exits; others may still write */
	TW_READ = 5,	/* bytes that were taken out of a stream at its other end */
};

/* Why bytes of a DATA or HOLE record are not there. Same numbers as GapReason of user space. */
enum tw_reason {
	TW_REASON_NONE = 0,
	TW_REASON_RING_FULL = 1,
	TW_REASON_FAULT = 2,
	TW_REASON_ZERO_COPY = 3,
	TW_REASON_UNREAD = 5,	/* the other end brings them: not lost unless nobody reads */
	TW_REASONS = 8,		/* a power of two */
};

enum tw_file_kind {
	TW_KIND_NONE = 0,	/* closed, or no slot was free */
	TW_KIND_PIPE,
	TW_KIND_FIFO,
	TW_KIND_PTY,		/* the container's side of a pseudo terminal */
	TW_KIND_TTY,		/* any other terminal */
	TW_KIND_FILE,
	TW_KIND_SOCKET,
	TW_KIND_NULL,		/* /dev/null: never a stream, nothing can be told apart there */
	TW_KIND_OTHER,
};

/* Head of a DATA, HOLE or READ record. Writes and reads of a stream count positions of their own: in
 * a pipe they agree, in a terminal they do not (output processing, echo). `captured` bytes follow, the
 * other `length - captured` are missing for `reason`. */
struct tw_data {
	u16 type;
	u16 reason;
	u32 slot;	/* index into `states` */
	u64 stream;	/* guard: states[slot].id when it was written */
	u64 position;	/* of the first byte, counted from the stream's first byte */
	u64 time;	/* CLOCK_BOOTTIME, ns */
	u32 length;
	u32 captured;
	u32 pid;	/* thread group */
	u32 tid;
	u32 ns_pid;	/* pid as its pid namespace sees it */
	u32 pad;
	char comm[TW_COMM];
};
TW_ASSERT(sizeof(struct tw_data) == 72, "tw_data has no padding");

struct tw_file {
	u64 key;	/* in `streams`: address of the inode, or of the terminal; 0: not open */
	u64 sb;		/* address of the inode's super block, or of the terminal's driver */
	u64 ino;	/* number of the inode, or of the terminal */
	u64 unread;	/* bytes that were in the pipe already: positions 0 to unread */
	u32 dev;	/* as the kernel counts: major << 20 | minor */
	u32 slot;	/* which stream it is, TW_NO_SLOT if none */
	u64 stream;	/* its id */
	u32 generation;	/* of the inode: its number may come again */
	u8 kind;	/* enum tw_file_kind */
	u8 type;	/* of the inode: S_IFMT, by its upper four bits */
	u8 pad[2];
};
TW_ASSERT(sizeof(struct tw_file) == 56, "tw_file has no hidden padding");

#define TW_NO_SLOT 0xffffffffu

enum tw_start_flags {
	TW_START_AT_EXEC = 1,	/* nobody has written yet */
	TW_START_BY_PID = 2,	/* asked for by pid, needs not be a container */
};

struct tw_start {
	u16 type;
	u16 flags;	/* enum tw_start_flags */
	u32 pid;	/* init, as the host sees it */
	u64 run;	/* never used twice */
	u64 place;	/* key in `runs`: cgroup id, or its pid namespace | TW_PLACE_PIDNS; 0: by pid */
	u64 pidns;	/* inode number of its pid namespace | TW_PLACE_PIDNS */
	u64 time;	/* CLOCK_BOOTTIME, ns: now */
	u64 start_time;	/* of the process, CLOCK_BOOTTIME, ns */
	u32 level;	/* of its pid namespace */
	u32 ns_pid;	/* its pid there */
	char comm[TW_COMM];
	struct tw_file files[2];	/* stdout, stderr; the same slot where they are one file */
	char cgroup[TW_CGROUP_LEVELS][TW_CGROUP_NAME];	/* leaf first; may be unterminated garbage past a NUL */
};
TW_ASSERT(sizeof(struct tw_start) == 696, "tw_start has no hidden padding");

#define TW_PLACE_PIDNS (1ull << 63)

/* Version of all that is declared here, and of what the programs do with it: raise it with each change
 * that a daemon would misread which takes over maps and programs of another one. */
#define TW_LAYOUT 5

/* Value of `about`. */
struct tw_about {
	u32 layout;	/* TW_LAYOUT */
	u32 pid;	/* the daemon that uses the maps, or did */
	u64 instance;	/* random: tells these maps from those before them */
	u32 backend;	/* whose programs are attached: enum Backend of user space */
	u32 pad;
};

/* Value of `runs`. */
struct tw_run {
	u64 run;	/* 0: was there before capture began; only seeding may register it */
	u64 reaper;	/* start time of the pid namespace's init: the number alone is soon used again */
	u64 ended;	/* its first process has: who comes now begins another run, be this one lingering or not */
};

struct tw_end {
	u16 type;
	u16 pad;
	u32 pid;
	u64 run;
	u64 time;
};
TW_ASSERT(sizeof(struct tw_end) == 24, "tw_end has no padding");

enum tw_holder_flags {
	TW_HOLDS_TO_WRITE = 1,
	TW_HOLDS_TO_READ = 2,
};

/* Value of `held`: who has a stream open. */
struct tw_held {
	u64 stream;
	u64 unread;	/* bytes in the pipe now */
	u32 look;	/* tw_look::number of the look that found it; others are of the past */
	u32 flags;	/* enum tw_holder_flags, of all who have it open */
	struct {
		u32 pid;
		u32 fd;
	} by[2];	/* two of them; pid 0: none */
};
TW_ASSERT(sizeof(struct tw_held) == 40, "tw_held has no padding");

/* Value of `looks`: one walk of all open files. User space writes it before it begins. */
struct tw_look {
	u64 began;	/* CLOCK_BOOTTIME, ns */
	u64 files;	/* the table that is being walked, address of the kernel */
	u32 number;	/* never 0 */
	u32 task;	/* whose table it is */
	u32 from;	/* its next file */
	u32 left;	/* files until user space is asked whether it goes on */
};
TW_ASSERT(sizeof(struct tw_look) == 32, "tw_look has no padding");

/* Value of `streams`, keyed by tw_file::key. An address alone is reused at once, so the rest must
 * agree too. */
struct tw_stream {
	u64 sb;
	u64 ino;
	u64 id;
	u32 slot;
	u32 generation;
};

/* Value of the memory-mapped array `states`. The kernel writes the first part, user space the second;
 * they are on cache lines of their own. */
struct tw_state {
	u64 id;			/* never used twice */
	u64 written;		/* bytes so far = position of the next */
	u64 reserved;		/* ring bytes handed out, TW_RING_ROOM of each record */
	u64 run;		/* whose it is: who had it first, or went on with it */
	u64 read;		/* bytes that were taken out at the other end */
	u32 reader_seen;	/* reads bring the bytes, writes only their heads */
	u32 at_end;		/* a reader was told that no more comes, and nothing came since */
	u32 ended;		/* its run has ended: the file is another run's if it comes again */
	u32 guarded;		/* its readers are outside of the container: see claims.bpf.h */
	u64 place;		/* where the container's processes are: see place.bpf.h */
	u64 consumed;		/* of `reserved`, what the daemon has taken */
	u64 pad2[7];
};
TW_ASSERT(sizeof(struct tw_state) == 128, "two cache lines");
