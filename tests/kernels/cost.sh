# What a system call costs a program: when nobody looks, when others are captured, when it is captured
# itself. Sourced by guest.sh, whose daemon gives way to others.
# shellcheck shell=sh disable=SC2086 # a path without blanks
: "${work:?}" "${daemon:?}" "${store:?}"

rounds=9
calls=20000

mkfifo $work/questions $work/answers
bench_tool calls 3 4 3<>$work/questions 4<>$work/answers </dev/null >/dev/null 2>&1 &
bench=$!
exec 5<>$work/questions 6<>$work/answers

# measure STATE: processor time of a call, in ns, the least of all rounds.
measure() {
    for question in "getppid 1" "null 64" "alone 64"; do
        least=
        round=0
        while [ $round -lt $rounds ]; do
            echo "$question $calls" >&5
            read -r _ cpu <&6
            if [ -z "$least" ] || [ "$cpu" -lt "$least" ]; then least=$cpu; fi
            round=$((round + 1))
        done
        tell "measured $1: $question: $((least / calls)) ns"
    done
}

stop_daemon() {
    kill -TERM "$daemon"
    wait "$daemon" || tell "failed twinlog run ended with $?"
}

stop_daemon
measure nobody
start_daemon messages --store $store || give_up "twinlog run" $work/messages
measure others
stop_daemon
start_daemon messages --store $store --pid $bench || give_up "twinlog run --pid" $work/messages
measure itself
kill $bench
