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
	unsigned long bx, cx, dx, si, di, r10, orig_ax;
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
};

struct file {
	struct inode *f_inode;
	u32 f_mode;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
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

struct task_struct {
	struct thread_info thread_info;
	int pid;
	int tgid;
	u64 start_boottime;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct files_struct *files;
	struct signal_struct *signal;
	struct pid *thread_pid;
	struct css_set *cgroups;
	char comm[TW_COMM];
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

/* kernel/cgroup: numbers differ from build to build, CO-RE looks them up */
enum cgroup_subsys_id {
	memory_cgrp_id = 4096,
	pids_cgrp_id = 4097,
};

#pragma clang attribute pop

enum {
	TS_COMPAT = 2,		/* arch/x86/include/asm/thread_info.h: a 32-bit system call */
	FMODE_WRITE = 2,	/* include/linux/fs.h */
	S_IFMT = 0170000,
	S_IFSOCK = 0140000,
	S_IFREG = 0100000,
	S_IFCHR = 0020000,
	S_IFIFO = 0010000,
	PIPEFS_MAGIC = 0x50495045,	/* include/uapi/linux/magic.h */
	DEVPTS_SUPER_MAGIC = 0x1cd1,
	NULL_RDEV = 1 << 20 | 3,	/* Documentation/admin-guide/devices.txt */
};

/* Direct loads need a typed pointer; an element of an array of pointers has lost its type. */
static __always_inline struct file *task_file(struct task_struct *task, u64 fd)
{
	struct files_struct *files = BPF_CORE_READ(task, files);
	struct fdtable *fdt;
	struct file *file = NULL;

	if (!files)
		return NULL;
	fdt = BPF_CORE_READ(files, fdt);
	if (fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), BPF_CORE_READ(fdt, fd) + fd);
	return file;
}
