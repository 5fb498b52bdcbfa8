/* The system calls that move bytes of a file, and where their arguments say which file and which bytes. */
#pragma once

#include "kernel.bpf.h"
#include "stream.bpf.h"

/* How a system call moves bytes. */
enum way {
	WAY_NONE = 0,
	WAY_BUFFER,	/* fd, buffer, size */
	WAY_LIST,	/* fd, iovec, count */
	WAY_MESSAGE,	/* fd, msghdr */
	WAY_MESSAGES,	/* fd, mmsghdr, count; the result counts messages, not bytes */
	WAY_NO_COPY,	/* only the number of bytes is known */
	WAY_REQUESTS,	/* files and buffers stand in requests */
	WAY_SOCKET,	/* which call it is, and the address of that one's arguments */
};

/* In which argument the file stands. */
enum place {
	FD_FIRST = 0,
	FD_SECOND,
	FD_THIRD,
};

struct call {
	u8 way;
	u8 place;
	u8 end;
};

#define WRITES(way, place) ((struct call){ way, place, END_WRITE })
#define READS(way) ((struct call){ way, FD_FIRST, END_READ })

/* arch/x86/entry/syscalls/syscall_64.tbl */
static __always_inline struct call native_call(u64 nr)
{
	switch (nr) {
	case 0:		/* read */
		return READS(WAY_BUFFER);
	case 19:	/* readv */
	case 327:	/* preadv2 */
		return READS(WAY_LIST);
	case 1:		/* write */
	case 18:	/* pwrite64 */
	case 44:	/* sendto */
		return WRITES(WAY_BUFFER, FD_FIRST);
	case 20:	/* writev */
	case 296:	/* pwritev */
	case 328:	/* pwritev2 */
		return WRITES(WAY_LIST, FD_FIRST);
	case 46:	/* sendmsg */
		return WRITES(WAY_MESSAGE, FD_FIRST);
	case 307:	/* sendmmsg */
		return WRITES(WAY_MESSAGES, FD_FIRST);
	case 209:	/* io_submit */
		return WRITES(WAY_REQUESTS, FD_FIRST);
	case 40:	/* sendfile */
	case 278:	/* vmsplice */
		return WRITES(WAY_NO_COPY, FD_FIRST);
	case 276:	/* tee */
		return WRITES(WAY_NO_COPY, FD_SECOND);
	case 275:	/* splice */
	case 326:	/* copy_file_range */
		return WRITES(WAY_NO_COPY, FD_THIRD);
	}
	return WRITES(WAY_NONE, FD_FIRST);
}

/* arch/x86/entry/syscalls/syscall_32.tbl */
static __always_inline struct call compat_call(u64 nr)
{
	switch (nr) {
	case 3:		/* read */
		return READS(WAY_BUFFER);
	case 145:	/* readv */
	case 378:	/* preadv2 */
		return READS(WAY_LIST);
	case 4:		/* write */
	case 181:	/* pwrite64 */
	case 369:	/* sendto */
		return WRITES(WAY_BUFFER, FD_FIRST);
	case 146:	/* writev */
	case 334:	/* pwritev */
	case 379:	/* pwritev2 */
		return WRITES(WAY_LIST, FD_FIRST);
	case 102:	/* socketcall */
		return WRITES(WAY_SOCKET, FD_FIRST);
	case 370:	/* sendmsg */
		return WRITES(WAY_MESSAGE, FD_FIRST);
	case 345:	/* sendmmsg */
		return WRITES(WAY_MESSAGES, FD_FIRST);
	case 248:	/* io_submit */
		return WRITES(WAY_REQUESTS, FD_FIRST);
	case 187:	/* sendfile */
	case 239:	/* sendfile64 */
	case 316:	/* vmsplice */
		return WRITES(WAY_NO_COPY, FD_FIRST);
	case 315:	/* tee */
		return WRITES(WAY_NO_COPY, FD_SECOND);
	case 313:	/* splice */
	case 377:	/* copy_file_range */
		return WRITES(WAY_NO_COPY, FD_THIRD);
	}
	return WRITES(WAY_NONE, FD_FIRST);
}

/* include/uapi/linux/net.h: what socketcall(2) is asked for, as glibc does where a kernel from before
 * 4.3 had no calls of their own. */
static __always_inline struct call socket_call(u64 nr)
{
	switch (nr) {
	case 9:		/* send */
	case 11:	/* sendto */
		return WRITES(WAY_BUFFER, FD_FIRST);
	case 16:	/* sendmsg */
		return WRITES(WAY_MESSAGE, FD_FIRST);
	case 20:	/* sendmmsg */
		return WRITES(WAY_MESSAGES, FD_FIRST);
	}
	return WRITES(WAY_NONE, FD_FIRST);
}

/* Two that may take bytes out of a pipe although the tables have them as writes. */
static __always_inline bool is_splice(u64 nr, bool compat)
{
	return nr == (compat ? 313 : 275);
}

static __always_inline bool is_vmsplice(u64 nr, bool compat)
{
	return nr == (compat ? 316 : 278);
}
