/* A container's run: from the first exec in its cgroup or pid namespace to the end of that process. */
#pragma once

#include "place.bpf.h"
#include "stream.bpf.h"

/* Seeding walks all tasks several times: first to mark, so that an exec of an old container's child
 * is not taken for a start; then the certain init processes; then what is left. */
enum seed_pass {
	SEED_NONE = 0,
	SEED_MARK,
	SEED_NAMESPACE_INITS,
	SEED_OTHERS,
	SEED_PID,
};

/* A runtime's own helpers run in the container's cgroup before its program does, and on exec'ing
 * themselves as well (runc makes a copy of its binary first). They still see the files that their
 * parents see; a container's program does not. */
static __always_inline bool has_own_root(struct task_struct *task)
{
	return BPF_CORE_READ(task, nsproxy, mnt_ns) != BPF_CORE_READ(task, real_parent, nsproxy, mnt_ns);
}

/* Still what a runtime forked: its exec, which begins the run, is to come. */
static __always_inline bool is_being_made(struct task_struct *task)
{
	return BPF_CORE_READ(task, flags) & PF_FORKNOEXEC;
}

/* The ring's lock gives up where another CPU, itself kept from running, holds it for long
 * (rqspinlock, 6.15): news are worth another try. An expression, because older verifiers do not see
 * that what came out of a function not to be NULL is not NULL. */
#define RESERVE_EVENT(event)                                                                          \
	((event = bpf_ringbuf_reserve(&events, sizeof(*(event)), 0)) ||                               \
	 (event = bpf_ringbuf_reserve(&events, sizeof(*(event)), 0)))

/* Registers the task's stdout and stderr as the streams of a run and tells user space. */
static __always_inline bool announce_run(struct task_struct *task, struct task_place *place,
					 u64 key, u64 run, u16 flags)
{
	struct kernfs_node *kn = place->cgroup;
	struct tw_start *start;
	struct tw_init init = { .run = run, .places = { key, place->pidns_key } };
	u32 pid = BPF_CORE_READ(task, tgid);

	if (!RESERVE_EVENT(start)) {
		__sync_fetch_and_add(&starts_lost, 1);
		return false;
	}
	start->type = TW_START;
	start->flags = flags;
	start->pid = pid;
	start->run = run;
	start->place = key;
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
	for (int i = 0; i < 2; i++) {
		describe_file(task, i + 1, &start->files[i]);
		register_stream(&start->files[i], run, members_of(place), flags & TW_START_AT_EXEC);
		init.slots[i] = start->files[i].slot;
	}
	bpf_map_update_elem(&inits, &pid, &init, BPF_ANY);
	bpf_ringbuf_submit(start, BPF_RB_FORCE_WAKEUP);
	return true;
}

/* Registers the run that the task begins, if it does and if nobody has. */
static __always_inline void consider_run(struct task_struct *task, bool at_exec)
{
	struct task_place place;
	struct tw_run run = {}, *known;
	bool own_namespace;
	u64 key;

	find_place(task, &place);
	own_namespace = place.level > 0 && place.ns_pid == 1;
	if (!own_namespace && !(place.long_name && has_own_root(task)))
		return;
	/* Nobody else of an old namespace may stand for it, nor init twice. */
	if (own_namespace) {
		known = bpf_map_lookup_elem(&runs, &place.pidns_key);
		if (known && known->reaper == place.reaper && (at_exec || known->run))
			return;
	}
	key = place.long_name ? place.cgroup_key : place.pidns_key;
	known = bpf_map_lookup_elem(&runs, &key);
	/* Numbers of cgroups do not come again, those of namespaces do and were looked at above. A cgroup may
	 * be kept for the next run; who is found in it by seeding is one that the last run left. */
	if (known && place.long_name && (at_exec ? !known->ended : known->run))
		return;
	run.run = __sync_fetch_and_add(&next_run, 1);
	run.reaper = place.reaper;
	/* Of several processes that start in a group at once, one stands for it. */
	if (bpf_map_update_elem(&runs, &key, &run, known ? BPF_ANY : BPF_NOEXIST)) {
		if (!bpf_map_lookup_elem(&runs, &key))
			__sync_fetch_and_add(&starts_lost, 1);
		return;
	}
	if (own_namespace)
		bpf_map_update_elem(&runs, &place.pidns_key, &run, BPF_ANY);
	if (announce_run(task, &place, key, run.run, at_exec ? TW_START_AT_EXEC : 0))
		return;
	run.run = 0;
	bpf_map_update_elem(&runs, &key, &run, BPF_ANY);
	if (own_namespace)
		bpf_map_update_elem(&runs, &place.pidns_key, &run, BPF_ANY);
}

static __always_inline void mark_run(struct task_struct *task)
{
	struct task_place place;
	struct tw_run old = {};

	if (is_being_made(task))
		return;
	find_place(task, &place);
	old.reaper = place.reaper;
	if (place.level > 0)
		bpf_map_update_elem(&runs, &place.pidns_key, &old, BPF_NOEXIST);
	if (place.long_name && has_own_root(task))
		bpf_map_update_elem(&runs, &place.cgroup_key, &old, BPF_NOEXIST);
}

static __always_inline int began_program(struct task_struct *task)
{
	if (register_new)
		consider_run(task, true);
	return 0;
}

/* Here, and not when the process has been reaped, because that comes by RCU and may take long. What
 * it and others of its namespace still hold open, the holders iterator tells. */
static __always_inline int ended_process(struct task_struct *task)
{
	u32 pid = task->tgid;
	struct tw_init *init = bpf_map_lookup_elem(&inits, &pid);
	struct tw_state *state;
	struct tw_run *run;
	struct tw_end *end;

	/* The leader's exit is not the process's while other threads live. */
	if (!init || BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	for (int i = 0; i < 2; i++) {
		state = bpf_map_lookup_elem(&states, &init->slots[i]);
		if (state && state->run == init->run)
			state->ended = 1;
		run = bpf_map_lookup_elem(&runs, &init->places[i]);
		if (run && run->run == init->run)
			run->ended = 1;
	}
	if (RESERVE_EVENT(end)) {
		end->type = TW_END;
		end->pad = 0;
		end->pid = pid;
		end->run = init->run;
		end->time = bpf_ktime_get_boot_ns();
		bpf_ringbuf_submit(end, BPF_RB_FORCE_WAKEUP);
	}
	/* Without room the daemon finds out by itself: it looks for the processes now and then. */
	bpf_map_delete_elem(&inits, &pid);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
	return began_program(task);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	return ended_process(task);
}

/* By way of perf, as in tracepoint.bpf.h. Both events are of the current task. */
SEC("tp/sched/sched_process_exec")
int on_exec_perf(void *event)
{
	return began_program(bpf_get_current_task_btf());
}

SEC("tp/sched/sched_process_exit")
int on_exit_perf(void *event)
{
	return ended_process(bpf_get_current_task_btf());
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
		if (place.level > 0 && place.ns_pid == 1 && !is_being_made(task))
			consider_run(task, false);
		break;
	case SEED_OTHERS:
		if (parent_elsewhere(task) && !is_being_made(task))
			consider_run(task, false);
		break;
	case SEED_PID:
		if ((u32)task->tgid != seed_pid)
			break;
		find_place(task, &place);
		announce_run(task, &place, 0, __sync_fetch_and_add(&next_run, 1), TW_START_BY_PID);
		break;
	}
	return 0;
}
