/* Where a task is, as far as that tells containers apart: its cgroup and its pid namespace. */
#pragma once

#include "maps.bpf.h"

/* A container id has 64 hex digits; with the NUL that is what a leaf name must have at least. */
#define ID_NAME_SIZE 65

enum {
	PID_NS_LEVELS = 64,	/* more than MAX_PID_NS_LEVEL, 32, and a power of two */
};

/* What the process is at that level of its pid namespaces, which has to be one of them. */
static __always_inline struct upid *upid_at(struct pid *pid, u64 level)
{
	/* Older verifiers want bounds on what is added to a typed pointer. */
	asm volatile("" : "+r"(level));
	level &= PID_NS_LEVELS - 1;
	return (void *)pid + bpf_core_field_offset(struct pid, numbers) +
	       level * bpf_core_type_size(struct upid);
}

static __always_inline struct kernfs_node *cgroup_parent(struct kernfs_node *kn)
{
	struct kernfs_node___parent *old = (void *)kn;

	if (bpf_core_field_exists(kn->__parent))
		return BPF_CORE_READ(kn, __parent);
	return (void *)BPF_CORE_READ(old, parent);
}

static __always_inline struct kernfs_node *v1_cgroup(struct css_set *set, u64 subsystem)
{
	struct cgroup_subsys_state *css = NULL;

	bpf_probe_read_kernel(&css, sizeof(css), (void *)set + bpf_core_field_offset(set->subsys) +
						 subsystem * sizeof(css));
	return css ? BPF_CORE_READ(css, cgroup, kn) : NULL;
}

/* The cgroup that names the container: version 2 where the task has a group there, else version 1's
 * memory or pids group. */
static __always_inline struct kernfs_node *task_cgroup(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct kernfs_node *kn = BPF_CORE_READ(set, dfl_cgrp, kn), *v1 = NULL;

	if (cgroup_parent(kn))
		return kn;
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		v1 = v1_cgroup(set, bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id));
	if (v1 && cgroup_parent(v1))
		return v1;
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id))
		v1 = v1_cgroup(set, bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id));
	return v1 && cgroup_parent(v1) ? v1 : kn;
}

struct task_place {
	struct kernfs_node *cgroup;
	u64 cgroup_key;
	u64 pidns_key;
	u64 reaper;	/* tw_run::reaper */
	u32 level;
	u32 ns_pid;
	bool long_name;
};

static __always_inline void find_place(struct task_struct *task, struct task_place *place)
{
	char name[TW_CGROUP_NAME];
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct kernfs_node *cgroup = task_cgroup(task);
	struct upid *upid;

	place->level = BPF_CORE_READ(pid, level);
	upid = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
	       (u64)place->level * bpf_core_type_size(struct upid);
	place->ns_pid = BPF_CORE_READ(upid, nr);
	place->pidns_key = TW_PLACE_PIDNS | BPF_CORE_READ(upid, ns, ns.inum);
	place->reaper = BPF_CORE_READ(upid, ns, child_reaper, start_boottime);
	place->cgroup = cgroup;
	place->cgroup_key = BPF_CORE_READ(cgroup, id);
	place->long_name = bpf_probe_read_kernel_str(name, sizeof(name),
						     BPF_CORE_READ(cgroup, name)) >= ID_NAME_SIZE;
}

/* tw_state::place. Its own pid namespace says it best: nobody leaves that, and what is made in it is
 * below it. Of a container in the host's it is the cgroup; of what has neither nothing is known. */
#define PLACE_LEVEL_SHIFT 32

static __always_inline u64 members_of(const struct task_place *place)
{
	if (place->level)
		return place->pidns_key | (u64)place->level << PLACE_LEVEL_SHIFT;
	return place->long_name ? place->cgroup_key : 0;
}

static __always_inline bool is_member(struct task_struct *task, u64 place)
{
	struct pid *pid = task->thread_pid;
	struct pid_namespace *ns;
	u64 level;

	if (!place)
		return false;
	if (!(place & TW_PLACE_PIDNS))
		return BPF_CORE_READ(task_cgroup(task), id) == place;
	level = (place >> PLACE_LEVEL_SHIFT) & (PID_NS_LEVELS - 1);
	if (!pid || pid->level < level)
		return false;
	ns = MEMBER(upid_at(pid, level), upid, ns);
	return MEMBER(ns, pid_namespace, ns.inum) == (u32)place;
}
