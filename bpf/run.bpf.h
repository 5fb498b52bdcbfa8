/* A container's run: from the first exec in its cgroup or pid namespace to the end of that process. */
#pragma once

#include "stream.bpf.h"

enum run_mark {
	RUN_MARKED = 1,		/* was there before capture began; only seeding may register it */
	RUN_REGISTERED = 2,
};

/* Seeding walks all tasks several times: first to mark, so that an exec of an old container's child
 * is not taken for a start; then the certain init processes; then what is left. */
enum seed_pass {
	SEED_NONE = 0,
	SEED_MARK,
	SEED_NAMESPACE_INITS,
	SEED_OTHERS,
	SEED_PID,
};

/* A container id has 64 hex digits; with the NUL that is what a leaf name must have at least. */
#define ID_NAME_SIZE 65

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
	place->pidns_key = TW_RUN_PIDNS | BPF_CORE_READ(upid, ns, ns.inum);
	place->cgroup = cgroup;
	place->cgroup_key = BPF_CORE_READ(cgroup, id);
	place->long_name = bpf_probe_read_kernel_str(name, sizeof(name),
						     BPF_CORE_READ(cgroup, name)) >= ID_NAME_SIZE;
}

/* Registers the task's stdout and stderr as the streams of a run and tells user space. */
static __always_inline bool announce_run(struct task_struct *task, struct task_place *place, u64 run,
					 u16 flags)
{
	struct kernfs_node *kn = place->cgroup;
	struct tw_start *start = bpf_ringbuf_reserve(&events, sizeof(*start), 0);
	u32 pid = BPF_CORE_READ(task, tgid);

	if (!start) {
		__sync_fetch_and_add(&starts_lost, 1);
		return false;
	}
	start->type = TW_START;
	start->flags = flags;
	start->pid = pid;
	start->run = run;
	start->pidns = place->pidns_key;
	start->time = bpf_ktime_get_boot_ns();
	start->start_time = BPF_CORE_READ(task, start_boottime);
	start->level = place->level;
	start->ns_pid = place->ns_pid;
	BPF_CORE_READ_INTO(&start->comm, task, comm);
	for (int i = 0; i < TW_CGROUP_LEVELS; i++) {
		start->cgroup[i][0] = 0;
		if (!kn)
			continue;
		bpf_probe_read_kernel_str(start->cgroup[i], TW_CGROUP_NAME, BPF_CORE_READ(kn, name));
		kn = cgroup_parent(kn);
	}
	/* Before the streams exist: a writer may be at work on another CPU. */
	bpf_map_update_elem(&inits, &pid, &run, BPF_ANY);
	for (int i = 0; i < 2; i++) {
		describe_file(task, i + 1, &start->files[i]);
		register_stream(&start->files[i]);
	}
	bpf_ringbuf_submit(start, BPF_RB_FORCE_WAKEUP);
	return true;
}

/* Registers the run that the task begins, if it does and if nobody has. */
static __always_inline void consider_run(struct task_struct *task, bool at_exec)
{
	u32 registered = RUN_REGISTERED;
	struct task_place place;
	bool own_namespace;
	u64 run;

	find_place(task, &place);
	own_namespace = place.level > 0 && place.ns_pid == 1;
	if (!own_namespace && !place.long_name)
		return;
	/* Nobody else of an old namespace may stand for it, nor init twice. */
	if (own_namespace) {
		u32 *mark = bpf_map_lookup_elem(&runs, &place.pidns_key);

		if (mark && (at_exec || *mark == RUN_REGISTERED))
			return;
	}
	run = place.long_name ? place.cgroup_key : place.pidns_key;
	if (at_exec) {
		if (bpf_map_update_elem(&runs, &run, &registered, BPF_NOEXIST))
			return;
	} else {
		u32 *mark = bpf_map_lookup_elem(&runs, &run);

		if (mark && *mark == RUN_REGISTERED)
			return;
		bpf_map_update_elem(&runs, &run, &registered, BPF_ANY);
	}
	if (own_namespace)
		bpf_map_update_elem(&runs, &place.pidns_key, &registered, BPF_ANY);
	if (!announce_run(task, &place, run, at_exec ? TW_START_AT_EXEC : 0)) {
		u32 marked = RUN_MARKED;

		bpf_map_update_elem(&runs, &run, &marked, BPF_ANY);
		if (own_namespace)
			bpf_map_update_elem(&runs, &place.pidns_key, &marked, BPF_ANY);
	}
}

static __always_inline void mark_run(struct task_struct *task)
{
	struct task_place place;
	u32 marked = RUN_MARKED;

	find_place(task, &place);
	if (place.level > 0)
		bpf_map_update_elem(&runs, &place.pidns_key, &marked, BPF_NOEXIST);
	if (place.long_name)
		bpf_map_update_elem(&runs, &place.cgroup_key, &marked, BPF_NOEXIST);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
	if (register_new)
		consider_run(task, true);
	return 0;
}

/* Runs when the task has been reaped: with it all of its pid namespace is gone, nobody of it writes
 * any more. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(on_free, struct task_struct *task)
{
	u32 pid = BPF_CORE_READ(task, pid);
	u64 *run = bpf_map_lookup_elem(&inits, &pid);
	struct tw_end *end;

	if (!run)
		return 0;
	end = bpf_ringbuf_reserve(&events, sizeof(*end), 0);
	if (!end)
		return 0;	/* user space looks after lost ENDs: it polls the pid too */
	end->type = TW_END;
	end->pad = 0;
	end->pid = pid;
	end->run = *run;
	end->time = bpf_ktime_get_boot_ns();
	bpf_map_delete_elem(&inits, &pid);
	bpf_ringbuf_submit(end, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* Only the first process of a cgroup has its parent outside of it (or was put there by docker exec,
 * but then an init is there too and was found in the pass before). */
static __always_inline bool parent_elsewhere(struct task_struct *task)
{
	return task_cgroup(BPF_CORE_READ(task, real_parent)) != task_cgroup(task);
}

SEC("iter/task")
int seed(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct task_place place;

	if (!task || task->pid != task->tgid)
		return 0;
	switch (seed_pass) {
	case SEED_MARK:
		mark_run(task);
		break;
	case SEED_NAMESPACE_INITS:
		find_place(task, &place);
		if (place.level > 0 && place.ns_pid == 1)
			consider_run(task, false);
		break;
	case SEED_OTHERS:
		if (parent_elsewhere(task))
			consider_run(task, false);
		break;
	case SEED_PID:
		if ((u32)task->tgid != seed_pid)
			break;
		find_place(task, &place);
		announce_run(task, &place, TW_RUN_PID | seed_pid, TW_START_BY_PID);
		break;
	}
	return 0;
}

/* Tells who still has a stream open for writing: the daemon gives a stream up only when nobody does. */
SEC("iter/task_file")
int holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct tw_stream *stream;

	if (!task || !file || !(file->f_mode & FMODE_WRITE))
		return 0;
	stream = find_stream(file);
	if (stream) {
		struct tw_holder holder = { .stream = stream->id, .slot = stream->slot, .pid = task->tgid };

		bpf_seq_write(ctx->meta->seq, &holder, sizeof(holder));
	}
	return 0;
}
