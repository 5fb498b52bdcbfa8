# The containers that are run on each kernel: what they do, and where their output goes to. Sourced
# by guest.sh.
# shellcheck shell=sh

# A pipe has a reader who can be seen: bytes come from its read(2)s. A file has none: they come from
# the writes alone.
for sink in pipe file; do
    # shellcheck disable=SC2016 # the container's shell expands it
    check echo $sink 0 sh -c 'i=0; while [ $i -lt 300 ]; do echo line $i; echo error $i >&2; i=$((i+1)); done'
    check one-byte $sink 0 printf x
    check write $sink 0 writer write 3000
    check writev $sink 0 writer writev
    check pwritev2 $sink 0 writer pwritev2
    check mib $sink 0 writer mib
    check sizes $sink 0 writer sizes
    check efault $sink 0 writer efault
    check interleaved $sink 0 writer interleaved 2000
    check open-end $sink 0 writer open-end
    check killed $sink 0 writer killed
    check random $sink 0 writer random 7 60
    check write-32-bit $sink 0 writer32 write 1000
    check writev-32-bit $sink 0 writer32 writev
done
# Read by another function of the kernel than a pipe without a name.
check write fifo 0 writer write 3000
check mib fifo 0 writer mib
check random fifo 0 writer random 11 60
# Nobody reads it in a way that can be seen; 32-bit programs ask for all of its calls by one.
check write socket 0 writer write 300
check messages socket 0 writer messages
check messages-32-bit socket 0 writer32 messages
check io-uring pipe 0 writer uring
# Before, the kernel does not tell which file a request was for.
since 5.18 io-uring file 0 writer uring
# Several write at once, and bytes that no write has in its arguments: only who reads can tell.
check threads pipe 0 writer threads
check forks pipe 0 writer forks
# Threads that are preempted in the middle of a call: something that may do so, again and again. Where
# the kernel preempts threads inside of itself (there programs run in these ways) it is of the daemon's
# own priority, so that the daemon is not displaced in the middle of bpf(2) on a map: all programs are
# skipped then, those of this disturber first.
# shellcheck disable=SC2154 # of guest.sh
case $programs_way in
    perf | fprobes) priority=1 ;;
    *) priority=50 ;;
esac
chrt -f $priority sh -c 'while usleep 100; do :; done' &
disturber=$!
check crowd pipe 0 writer many 64 60
kill $disturber
for way in sendfile splice splice-pipe tee vmsplice "uring writev" "uring splice"; do
    # shellcheck disable=SC2086 # a case and its argument
    check "$(echo $way | tr ' ' -)" pipe 0 writer $way
done
