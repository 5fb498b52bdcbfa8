#!/bin/sh
# Pid 1 on the test guest's disk: real containers under twinlog; what their readers got is the
# reference. Tells the host on the serial line, one `TWINLOG …` line for each fact.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 pts /dev/pts
mount -t tracefs tracing /sys/kernel/tracing
mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up

store=/tmp/store
work=/tmp/work
# A variable of the kernel's command line.
backend=${TWINLOG_BACKEND:-auto}
mkdir -p $work/bundle

uptime() { cut -d ' ' -f 1 /proc/uptime; }
tell() { echo "TWINLOG $*"; }

# finish: the last words; power off.
finish() {
    tell "end up=$(uptime)"
    sync
    reboot -f
}

# show FILE: for the person who looks for the reason of a failure.
show() {
    tail -n 40 "$1" | cut -c 1-300 | sed 's/^/  | /'
}

# give_up WHAT FILE: nothing can be tested.
give_up() {
    tell "failed $1"
    show "$2"
    finish
}

# start_daemon MESSAGES OPTION…: returns when `ready:` was said. What it says goes to the file
# $work/MESSAGES all the time.
start_daemon() {
    messages=$work/$1 said=$work/$1.said ready=$work/$1.ready
    shift
    rm -f "$said" "$ready"
    mkfifo "$said" "$ready"
    twinlog --log-level debug run --backend "$backend" "$@" 2>"$said" &
    daemon=$!
    # Ends, and so does the read below, when the daemon does.
    { while IFS= read -r line; do
        printf '%s\n' "$line" >>"$messages"
        case $line in *ready:*) echo ready >&3 ;; esac
    done; } <"$said" 3>"$ready" &
    read -r word <"$ready"
    [ "$word" = ready ]
}

# make_bundle COMMAND…: a container's configuration, with the namespaces that docker gives.
make_bundle() {
    arguments=
    for word; do
        word=$(printf '%s' "$word" | sed 's/[\\"]/\\&/g')
        arguments="$arguments${arguments:+, }\"$word\""
    done
    cat >$work/bundle/config.json <<END
{ "ociVersion": "1.0.2",
  "process": { "user": { "uid": 0, "gid": 0 }, "args": [ $arguments ],
    "env": [ "PATH=/bin" ], "cwd": "/", "rlimits": [ { "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 } ] },
  "root": { "path": "/container", "readonly": true },
  "mounts": [
    { "destination": "/proc", "type": "proc", "source": "proc" },
    { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": [ "nosuid", "mode=755" ] },
    { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
      "options": [ "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620" ] },
    { "destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [ "nosuid", "mode=1777" ] },
    { "destination": "/tmp", "type": "tmpfs", "source": "tmp", "options": [ "mode=1777" ] } ],
  "linux": { "namespaces": [ { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" },
    { "type": "network" } ] } }
END
}

# run_container SINK ID: runs the bundle to its end; what came out is $work/out and $work/err then.
# Detached, because runc would read the container's output itself otherwise. Prints the status that
# the container's shell wrote to descriptor 3; all is over when nobody holds that any more.
run_container() {
    : >$work/out
    : >$work/err
    if [ "$1" = pipe ]; then
        # Two pipes, each with a reader of its own.
        { { runc run --detach --preserve-fds 1 --bundle $work/bundle "$2" </dev/null 2>&5 3>&4 4>&- 5>&- |
            cat >$work/out 4>&- 5>&-; } 5>&1 >/dev/null | cat >$work/err 4>&-; } 4>&1
    elif [ "$1" = fifo ]; then
        rm -f $work/out.fifo $work/err.fifo
        mkfifo $work/out.fifo $work/err.fifo
        cat $work/out.fifo >$work/out &
        reads_out=$!
        cat $work/err.fifo >$work/err &
        runc run --detach --preserve-fds 1 --bundle $work/bundle "$2" </dev/null 3>&1 >$work/out.fifo 2>$work/err.fifo
        wait $reads_out $!
    elif [ "$1" = socket ]; then
        { /container/bin/writer through-socket runc run --detach --preserve-fds 1 --bundle $work/bundle "$2" \
            </dev/null 3>&4 >$work/out 2>$work/err; } 4>&1
    else
        runc run --detach --preserve-fds 1 --bundle $work/bundle "$2" </dev/null 3>&1 >$work/out 2>$work/err
    fi
}

# captured ID: twinlog's log as $work/got.out and $work/got.err, when all of it is there.
captured() {
    # A follow ends with its container. It is refused until the container's first record came.
    until twinlog logs --store $store -f "$1" >$work/got.out 2>$work/got.err; do
        grep -q 'No such container' $work/got.err || return 1
        kill -0 "$daemon" || return 1
    done
}

size() { stat -c %s "$1"; }

# compare NAME: what was logged and what was read. Says ok or where they differ. That both have nothing
# shows nothing.
compare() {
    if [ ! -s $work/out ] && [ ! -s $work/err ]; then
        tell "result $1 FAILED nothing was read"
        return
    fi
    for stream in out err; do
        cmp -s $work/$stream $work/got.$stream && continue
        tell "result $1 FAILED std$stream: $(size $work/got.$stream) of $(size $work/$stream) bytes," \
            "$(cmp $work/$stream $work/got.$stream 2>&1 | sed 's/^cmp: //; s/.* differ:/differ at/')"
        return
    done
    tell "result $1 ok $(($(size $work/out) + $(size $work/err))) bytes"
}

# since VERSION NAME SINK …: as check, on kernels that are new enough.
since() {
    oldest=$1
    shift
    if printf '%s\n' "$oldest" "$(uname -r)" | sort -c -V 2>/dev/null; then
        check "$@"
    else
        tell "result $1/$2 unsupported"
    fi
}

number=0
# The cases that are wanted, NAME/SINK; empty: all.
only=
# check NAME SINK EXPECTED_STATUS COMMAND…
check() {
    name=$1 sink=$2 expected=$3
    shift 3
    case " ${only:-$name/$sink} " in
        *[[:space:]]"$name/$sink"[[:space:]]*) ;;
        *) return ;;
    esac
    number=$((number + 1))
    id=$(printf '%064x' $number)
    # shellcheck disable=SC2016 # the container's shell expands it
    make_bundle sh -c '"$@" 3>&-; echo $? >&3' sh "$@"
    status=$(run_container "$sink" "$id")
    runc delete --force "$id" >/dev/null 2>&1
    if [ "$status" = 77 ]; then
        tell "result $name/$sink unsupported"
        return
    fi
    if [ "$status" != "$expected" ]; then
        tell "result $name/$sink FAILED the container ended with ${status:-nothing}: $(head -c 200 $work/err | tr '\n' ' ')"
        return
    fi
    if ! captured "$id"; then
        tell "result $name/$sink FAILED $(head -c 200 $work/got.err | tr '\n' ' ')"
        return
    fi
    compare "$name/$sink"
}

tell "kernel up=$(uptime) $(uname -r)"
twinlog doctor >$work/doctor 2>&1
status=$?
tell "doctor $status $(grep -A 1 '^FAILED' $work/doctor | tr '\n' ' ' | cut -c 1-400)"
show $work/doctor
if ! start_daemon messages --store $store; then
    tell "refused $(grep '^twinlog: ' $work/messages | tail -n 1 | cut -c 1-300)"
    show $work/messages
    finish
fi
tell "ready up=$(uptime)"
programs_way=$(sed -n 's/.* debug backend .*, by way of //p' $work/messages)
tell "way $programs_way"
# shellcheck source=/dev/null
. "/${TWINLOG_TESTS:-cases}.sh" # a variable of the kernel's command line
kill -TERM $daemon
wait $daemon || tell "failed twinlog run ended with $?"
if grep -q '^[^ ]* error ' $work/messages; then
    tell "failed twinlog run reported errors"
    show $work/messages
fi
finish
