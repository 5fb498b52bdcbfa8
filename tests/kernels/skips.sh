# Which ways to run a program the kernel skips at times. Sourced by guest.sh.
# shellcheck shell=sh disable=SC2086 # a path without blanks
: "${work:?}"

skipped_runs /capture.bpf.o on_sys_exit on_sys_exit_perf call__x64_sys_write on_call_return \
    on_exec on_exec_perf \
    >$work/skipped 2>$work/skipped.errors || tell "failed skipped_runs"
while IFS= read -r line; do tell "measured skipped runs of $line"; done <$work/skipped
show $work/skipped.errors
