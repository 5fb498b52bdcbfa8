/* The few kernel types that the programs read, kept by hand: only the members in use. CO-RE moves
 * each access to where the running kernel has it (preserve_access_index), so a 2.8 MB vmlinux.h is
 * not needed. Renames between kernels are flavours (___suffix) with the release that made them. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "record.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* arch/x86: the arguments of a system call survive until sys_exit */
struct pt_regs {
	unsigned long bx, cx, dx, si, di, r10, ax, orig_ax;
};

struct super_block {
	u32 s_dev;
	unsigned long s_magic;
};

struct inode {
	unsigned short i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	u32 i_rdev;
	u32 i_generation;
	struct pipe_inode_info *i_pipe;
};

struct file {
	struct inode *f_inode;
	u32 f_mode;
	void *private_data;
};

struct kiocb {
	struct file *ki_filp;
	void *ki_complete;	/* NULL: whoever asked for it waits */
};

struct iov_iter;

struct pipe_buffer {
	unsigned int len;
};

struct pipe_inode_info {
	unsigned int head, tail;
	unsigned int ring_size;
	unsigned int writers;
	struct pipe_buffer *bufs;
};

struct tty_driver {
	int major;
};

struct tty_struct {
	struct tty_driver *driver;
	int index;
	struct tty_struct *link;
};

/* what a terminal's file::private_data points to */
struct tty_file_private {
	struct tty_struct *tty;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct {
		int counter;
	} count;
	struct fdtable *fdt;
};

struct callback_head {
	struct callback_head *next;
};

struct kernfs_node {
	const char *name;
	u64 id;
	struct kernfs_node *__parent;
};

/* before 6.15 */
struct kernfs_node___parent {
	struct kernfs_node___parent *parent;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];
	struct cgroup *dfl_cgrp;
};

struct ns_common {
	unsigned int inum;
};

struct task_struct;

struct pid_namespace {
	struct task_struct *child_reaper;
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct thread_info {
	u32 status;
};

struct signal_struct {
	struct {
		int counter;
	} live;
};

struct seccomp_filter {
	struct notification *notif;	/* who answers calls for the kernel */
	struct seccomp_filter *prev;
};

struct seccomp {
	struct seccomp_filter *filter;
};

struct mnt_namespace;

struct nsproxy {
	struct mnt_namespace *mnt_ns;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid;
	int tgid;
	u64 start_boottime;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct pid *thread_pid;
	struct css_set *cgroups;
	struct seccomp seccomp;
	char comm[TW_COMM];
};

struct io_cqe {
	int res;
};

struct io_kiocb {
	struct file *file;
	u8 opcode;
	struct io_cqe cqe;
};

/* what a request for reading or writing is, io_uring/rw.c; it begins where the request does */
struct io_rw {
	u64 addr;
};

/* the same of one for splicing, io_uring/splice.c */
struct io_splice {
	int splice_fd_in;
	unsigned int flags;
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_map {
	u32 id;
};

struct bpf_ringbuf {
	unsigned long producer_pos;
	char data[];
};

struct bpf_ringbuf_map {
	struct bpf_ringbuf *rb;
};

struct bpf_iter__bpf_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
};

/* kernel/cgroup: numbers differ from build to build, CO-RE looks them up */
enum cgroup_subsys_id {
	memory_cgrp_id = 4096,
	pids_cgrp_id = 4097,
};

#pragma clang attribute pop

enum {
	EIO = 5,		/* include/uapi/asm-generic/errno-base.h */
	ENOSYS = 38,		/* include/uapi/asm-generic/errno.h */
	TS_COMPAT = 2,		/* arch/x86/include/asm/thread_info.h: a 32-bit system call */
	PF_FORKNOEXEC = 0x40,	/* include/linux/sched.h: still runs what its parent ran */
	FMODE_READ = 1,		/* include/linux/fs.h */
	FMODE_WRITE = 2,
	S_IFMT = 0170000,
	S_IFMT_SHIFT = 12,
	S_IFSOCK = 0140000,
	S_IFREG = 0100000,
	S_IFCHR = 0020000,
	S_IFIFO = 0010000,
	PIPEFS_MAGIC = 0x50495045,	/* include/uapi/linux/magic.h */
	NULL_RDEV = 1 << 20 | 3,	/* Documentation/admin-guide/devices.txt, also the majors */
	TTY_MAJOR = 4,			/* virtual consoles and serial lines */
	TTYAUX_MAJOR = 5,		/* tty, console, ptmx */
	PTY_MASTER_MAJOR = 128,		/* of the driver; files of the other end are ptmx */
	PTY_SLAVE_MAJOR = 136,
	PTY_SLAVE_MAJOR_LAST = 143,
};

extern void *bpf_rdonly_cast(const void *pointer, u32 type) __ksym __weak;

/* bpf_rdonly_cast is there (6.2); set by user space before it loads */
const volatile bool have_rdonly_cast = false;

/* A member of what a pointer without a type points to. Where a cast can give it one that is a load,
 * which takes a nanosecond and not the ten or so of the helper's call: a container's write has a dozen.
 * Either way it is 0 where the address is none. */
#define MEMBER(pointer, type, member)                                                                 \
	(have_rdonly_cast ? TYPED(pointer, type)->member : BPF_CORE_READ(pointer, member))
#define TYPED(pointer, type)                                                                          \
	((struct type *)bpf_rdonly_cast(pointer, bpf_core_type_id_kernel(struct type)))

/* An element of an array of pointers, as a pointer without a type. The kernel has no name for a single
 * one, but for what is the same. */
static __always_inline void *pointer_at(void *address)
{
	return MEMBER((struct callback_head *)address, callback_head, next);
}

/* Of a typed pointer all members are loads. */
static __always_inline struct file *task_file(struct task_struct *task, u64 fd)
{
	struct files_struct *files = task->files;
	struct fdtable *fdt = files ? files->fdt : NULL;

	if (!fdt || fd >= fdt->max_fds)
		return NULL;
	return pointer_at(fdt->fd + fd);
}
