# Containers of a dockerd, with drivers that it can read back and with one that it cannot. Sourced by
# guest.sh.
# shellcheck shell=sh disable=SC2086 # a path without blanks
: "${work:?}"

# start_dockerd: returns when it listens.
start_dockerd() {
    mkfifo $work/dockerd.said $work/dockerd.ready
    dockerd --bridge none --iptables=false --data-root /var/lib/docker \
        --exec-opt native.cgroupdriver=cgroupfs >$work/dockerd.said 2>&1 &
    dockerd=$!
    { while IFS= read -r line; do
        printf '%s\n' "$line" >>$work/dockerd.messages
        case $line in *"API listen on"*) echo ready >&3 ;; esac
    done; } <$work/dockerd.said 3>$work/dockerd.ready &
    read -r word <$work/dockerd.ready
    [ "$word" = ready ]
}

# check_docker NAME DRIVER OPTION COMMAND…: the reference is what `docker run` printed.
check_docker() {
    name=$1 driver=$2 option=$3
    shift 3
    docker run --network none --name "$name" --log-driver "$driver" "$option" image "$@" \
        </dev/null >$work/out 2>$work/err
    status=$?
    if [ $status -ne 0 ]; then
        tell "result $name/$driver FAILED the container ended with $status: $(head -c 300 $work/err | tr '\n' ' ')"
        return
    fi
    if ! captured "$name"; then
        tell "result $name/$driver FAILED $(head -c 300 $work/got.err | tr '\n' ' ')"
        return
    fi
    compare "$name/$driver"
}

# check_throttle: a flood that is slowed loses nothing, in cgroup version 2.
check_throttle() {
    first=$daemon
    start_daemon throttled --store /tmp/throttled --overload throttle --ring-size 16m --max-size -1 \
        --container flood || give_up "twinlog run --overload throttle" $work/throttled
    docker run -d --network none --name flood --log-driver none image writer flood /none 24 >/dev/null
    docker wait flood >/dev/null
    until twinlog logs --store /tmp/throttled -f flood >$work/got.out 2>$work/got.err; do
        grep -q 'No such container' $work/got.err || break
        kill -0 $daemon || break
    done
    /container/bin/writer flood /none 24 >$work/out 2>$work/err
    compare "throttle/$(grep -c 'is slowed down' $work/throttled)"
    kill -TERM $daemon
    wait $daemon || tell "failed twinlog run --overload throttle ended with $?"
    daemon=$first
}

start_dockerd || give_up dockerd $work/dockerd.messages
tell "dockerd up=$(uptime)"
tar -C /container -c . | docker import --change 'ENV PATH=/bin' - image >/dev/null || tell "failed docker import"
# shellcheck disable=SC2016 # the container's shell expands it
lines='i=0; while [ $i -lt 200 ]; do echo line $i; echo error $i >&2; i=$((i+1)); done'
check_docker echo none --init=false sh -c "$lines"
check_docker lines json-file --init=false sh -c "$lines"
check_docker mib local --init=false writer mib
check_docker threads json-file --init=false writer threads
check_docker terminal none --tty sh -c "$lines"
check_throttle
kill -TERM $dockerd
wait $dockerd || tell "failed dockerd ended with $?"
