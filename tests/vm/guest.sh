#!/bin/bash
# Run as root in the guest, once it has booted: what a user does with the service. Tells the host on
# the console, one `TWINLOG …` line for each fact.
set -u
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
conf=/etc/twinlog/twinlog.conf

tell() { echo "TWINLOG $*"; }

# finish: the last words; power off.
finish() {
    tell end
    sync
    echo b >/proc/sysrq-trigger
}

# check NAME COMMAND…: says ok or FAILED, and why as far as the journal knows.
check() {
    local name=$1 said
    shift
    if said="$("$@" 2>&1)"; then
        grep '^TWINLOG ' <<<"$said"
        tell "ok $name"
    else
        tell "FAILED $name: $(tail -n 3 <<<"$said" | tr '\n' ' ')"
        printf '%s\n' "$said" | tail -n 30
        journalctl --no-pager -n 30 -u twinlog -u twinlog-capture
    fi
}

# eventually COMMAND…: for what nothing tells of.
eventually() {
    local deadline=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || {
            echo "not within 60 s: $*"
            return 1
        }
        sleep 0.1
    done
}

of_unit() { systemctl show -P "$1" twinlog.service; }
main_pid() { of_unit MainPID; }
pins() { compgen -G '/sys/fs/bpf/twinlog-*' >/dev/null; }
no_pins() { ! pins; }
active() { systemctl -q is-active twinlog.service; }
said() { journalctl --no-pager -o cat -u twinlog.service | grep -F -- "$1"; }

# Of what the sandbox keeps from it the daemon would complain.
no_warnings() { said 'ready: capturing' && ! said ' warning ' && ! said ' error '; }

# other_pid PID: the service runs, with another main process.
other_pid() { active && [[ $(main_pid) != "$1" && $(main_pid) != 0 ]]; }

# run_container NAME SCRIPT: in the background; its output is kept by twinlog alone.
run_container() {
    docker run -d --name "$1" --log-driver none --network none -v /run/test:/test twinlog-web \
        sh -c "$2" >/dev/null
}

capabilities() {
    local found
    found="$(awk '$1 == "CapPrm:" { print $2 }' "/proc/$(main_pid)/status")"
    # CAP_DAC_READ_SEARCH is 2, CAP_SYS_PTRACE 19.
    [[ $found == 0000000000080004 ]] || {
        echo "permitted: $found"
        return 1
    }
}

# provision: as Vagrant does it, which runs a copy from elsewhere.
provision() {
    cp /payload/vagrant/provision.sh /run/test/provision.sh
    TWINLOG_DEB=/payload/twinlog.deb TWINLOG_TREE=/twinlog bash /run/test/provision.sh
}

# What `vagrant ssh -c` is told to do.
log_of_web() {
    sudo twinlog logs web 2>&1 | cmp - <(printf '%s\n' 'hello world' 'this went to stderr')
}

# `vagrant provision`: the package once more, another web, whose log alone is shown.
provision_again() {
    local before said
    before="$(main_pid)"
    said="$(provision)" && [[ $said == 'hello world' ]] && other_pid "$before" && log_of_web &&
        [[ -z $(docker images -q --filter dangling=true) ]]
}

# demo: by the Vagrantfile's own words, beside the service.
demo() {
    local command said status=0 line
    command="$(sed -n 's/.*"demo".* inline: "\(.*\)"$/\1/p' /payload/vagrant/Vagrantfile)"
    [[ -n $command ]] || {
        echo "the Vagrantfile has no demo"
        return 1
    }
    # A service ignores SIGPIPE, a session of ssh does not.
    said="$(env --default-signal=PIPE bash -lc "$command" 2>&1 </dev/null)" || status=$?
    printf '%s\n' "$said" | sed 's/^/  > /' >/dev/console
    [[ $status == 0 ]] || {
        printf '%s\n' "$said" "ended with $status"
        return 1
    }
    for line in 'Using the dockerd that runs here.' 'ready: capturing 2 containers' \
        '$ twinlog logs demo-syslog' '$ twinlog logs demo-fluentd' '$ twinlog logs demo-none' \
        'Error response from daemon: configured logging driver does not support reading' \
        'That was it. Everything is stopped and removed again.'; do
        grep -qxF -- "$line" <<<"$said" || {
            echo "the demo does not say: $line"
            return 1
        }
    done
    # Each of the three containers once; the burst as a number of lines.
    if [[ $(grep -cx 'hello world' <<<"$said") != 3 || $(grep -cx 'this went to stderr' <<<"$said") != 3 ]] ||
        ! grep -qx 100000 < <(grep -A 1 -xF '$ twinlog logs demo-burst | wc -l' <<<"$said"); then
        echo "the demo's logs are not what the containers wrote"
        return 1
    fi
    # No complaint but dockerd's, which is what the demo is about.
    ! grep -E '^(twinlog|demo|docker): |warning|not found|[Pp]ermission denied' <<<"$said" && nothing_left
}

# What the demo took away again, and what it must not.
nothing_left() {
    local names
    names="$(docker ps -a --format '{{.Names}}')"
    [[ $names == web ]] && ! docker image inspect twinlog-demo >/dev/null 2>&1 &&
        ! compgen -G '/tmp/twinlog-demo.*' && active && pins
}

# Every line once, in order, over a restart and a kill.
whole_numbers() {
    local count
    docker wait numbers >/dev/null || return
    count="$(cat /run/test/count)"
    twinlog logs -f numbers >/run/test/numbers || return
    seq -f 'line %.0f' 1 "$count" | cmp - /run/test/numbers || return
    tell "lines that were written meanwhile: $count"
}

restart() {
    local before
    before="$(main_pid)"
    systemctl restart twinlog.service && other_pid "$before" && pins
}

kill_it() {
    local before
    before="$(main_pid)"
    kill -KILL "$before"
    eventually other_pid "$before" && [[ $(of_unit NRestarts) == 1 ]]
}

reload() {
    local before
    before="$(main_pid)"
    echo 'format = ["local", "json-file"]' >>$conf
    systemctl reload twinlog.service
    eventually said 'the options were read again' && [[ $(main_pid) == "$before" ]] &&
        eventually compgen -G '/var/lib/twinlog/containers/*/*-json.log'
}

reload_bad() {
    local before
    before="$(main_pid)"
    cp $conf /run/test/conf
    echo 'max-size = "enormous"' >>$conf
    systemctl reload twinlog.service
    eventually said 'the options stay as they were: --max-size enormous' && active &&
        [[ $(main_pid) == "$before" ]]
    local status=$?
    cp /run/test/conf $conf
    return $status
}

# What had begun when the service was stopped is in the log, nothing is in the kernel.
stop() {
    run_container half 'echo whole; printf half; echo done >/test/half; exec sleep infinity'
    eventually test -s /run/test/half
    systemctl stop twinlog.service
    eventually no_pins || return
    [[ $(twinlog logs half) == $'whole\nhalf' ]] || {
        echo "the log: $(twinlog logs half | od -c)"
        return 1
    }
    [[ $(of_unit Result) == success ]]
}

start() { systemctl start twinlog.service && pins; }

# The second stop in a row has nothing to do.
stop_and_start() {
    systemctl stop twinlog.service && systemctl start twinlog.service && active && pins
}

bad_config() {
    cp $conf /run/test/conf
    echo 'max-size = "enormous"' >>$conf
    systemctl restart twinlog.service && return 1
    [[ $(of_unit ActiveState) == failed && $(of_unit NRestarts) == 0 ]] &&
        said '--max-size enormous' && eventually no_pins
    local status=$?
    cp /run/test/conf $conf
    ((status == 0)) && systemctl start twinlog.service
}

drop_in() {
    mkdir -p /run/systemd/system/twinlog.service.d
    printf '[Service]\n%s\n' "$1" >/run/systemd/system/twinlog.service.d/test.conf
    systemctl daemon-reload
}

no_drop_in() {
    rm -r /run/systemd/system/twinlog.service.d
    systemctl daemon-reload
    systemctl reset-failed twinlog.service
}

missing_capability() {
    drop_in $'CapabilityBoundingSet=~CAP_SYS_PTRACE\nRestart=no'
    systemctl restart twinlog.service && return 1
    said 'it lacks CAP_SYS_PTRACE' && no_drop_in && systemctl start twinlog.service
}

watchdog() {
    local before
    drop_in WatchdogSec=3
    systemctl restart twinlog.service || return
    before="$(main_pid)"
    kill -STOP "$before"
    eventually other_pid "$before" || return
    said watchdog && no_drop_in && systemctl restart twinlog.service
}

# By what README.md tells to do, with a ring that is soon full.
throttle() {
    local unit line
    systemctl stop twinlog.service
    eventually no_pins || return
    cp $conf /run/test/conf
    printf '%s\n' 'overload = "throttle"' 'ring-size = "16m"' 'max-size = "-1"' >>$conf
    for unit in twinlog twinlog-capture; do
        install -D -m 644 /usr/share/doc/twinlog/examples/throttle.conf -t /etc/systemd/system/$unit.service.d
    done
    systemctl daemon-reload
    systemctl start twinlog.service || return
    # So that it cannot keep up; the thread that looks after the ring is of another class.
    systemctl set-property --runtime twinlog.service CPUQuota=10% || return
    # shellcheck disable=SC2016 # the container's shell expands it
    docker run --name flood --log-driver none --network none twinlog-web \
        sh -c 'yes "$(printf %16000s x)" | head -n 1500' >/dev/null || return
    line="$(printf %16000s x)"
    systemctl set-property --runtime twinlog.service CPUQuota= || return
    yes "$line" 2>/dev/null | head -n 1500 | cmp - <(twinlog logs -f flood) || return
    said 'flood: writes faster than its log can be written, and is slowed down' || {
        twinlog stats
        journalctl --no-pager -o cat -n 20 -u twinlog.service
        return 1
    }
    rm -r /etc/systemd/system/twinlog{,-capture}.service.d
    systemctl stop twinlog.service
    eventually no_pins || return
    cp /run/test/conf $conf
    systemctl daemon-reload
    systemctl start twinlog.service
}

# More than the ring, faster than it is formatted: it waits in memory, and is all there in the end.
spill() {
    local line
    cp $conf /run/test/conf
    printf '%s\n' 'ring-size = "8m"' 'max-size = "-1"' >>$conf
    systemctl stop twinlog.service
    eventually no_pins && systemctl start twinlog.service || return
    systemctl set-property --runtime twinlog.service CPUQuota=5% || return
    # shellcheck disable=SC2016 # the container's shell expands it
    run_container burst 'yes "$(printf %16000s x)" | head -n 1500'
    eventually compgen -G '/run/twinlog/*.spill' || {
        ls -la /run/twinlog /var/lib/twinlog
        df /run
        return 1
    }
    systemctl set-property --runtime twinlog.service CPUQuota= || return
    line="$(printf %16000s x)"
    yes "$line" 2>/dev/null | head -n 1500 | cmp - <(twinlog logs -f burst) || return
    cp /run/test/conf $conf
    systemctl stop twinlog.service
    eventually no_pins && eventually test ! -e /run/twinlog && systemctl start twinlog.service
}

# Kernels that preempt threads inside of themselves need another way to run programs, by perf; this one
# does not, so only the right to it can be looked at.
may_use_perf() { systemctl show -P SystemCallFilter twinlog.service | grep -qw perf_event_open; }

# The hooks of fentry where lockdown hides how the kernel preempts.
fentry() {
    systemctl stop twinlog.service
    eventually no_pins || return
    cp $conf /run/test/conf
    echo 'backend = "fentry"' >>$conf
    systemctl start twinlog.service && said 'warning backend fentry: a write to a file or socket'
    local status=$?
    systemctl stop twinlog.service
    cp /run/test/conf $conf
    ((status == 0)) && eventually no_pins && systemctl start twinlog.service
}

upgrade() {
    local before
    before="$(main_pid)"
    apt-get -qq -y --reinstall install /payload/twinlog.deb && other_pid "$before" && pins
}

remove() {
    apt-get -qq -y remove twinlog || return
    ! active && no_pins && ! command -v twinlog && [[ ! -e /run/twinlog && -d /var/lib/twinlog/containers && -e $conf ]]
}

purge() {
    apt-get -qq -y purge twinlog || return
    no_pins && getent passwd | cmp - /run/test/passwd || return
    find / -xdev \( -path /proc -o -path /sys -o -path /payload -o -path /run/test \
        -o -path /var/lib/docker -o -path /var/log/journal \) -prune -o -name '*twinlog*' -print >/run/test/left
    [[ ! -s /run/test/left ]] || {
        cat /run/test/left
        return 1
    }
}

mkdir -p /run/test
# On the console, for whoever looks for the reason of a guest that hangs.
journalctl --no-pager -f -n 0 -o short-monotonic -u twinlog -u twinlog-capture -u docker | sed 's/^/  | /' &
getent passwd >/run/test/passwd
tell "booted $(uname -r) unprivileged_bpf_disabled=$(cat /proc/sys/kernel/unprivileged_bpf_disabled)" \
    "lockdown=$(cat /sys/kernel/security/lockdown)"
# The folder that the Vagrantfile names.
ln -s /payload /twinlog
began=$SECONDS
provision >/run/test/provision
status=$?
if [[ $status != 0 || $(cat /run/test/provision) != 'hello world' ]]; then
    tell "FAILED provision.sh ended with $status: $(cat /run/test/provision)"
    journalctl --no-pager -n 60
    finish
fi
tell "ok hello world from twinlog logs web, $((SECONDS - began)) s after provision.sh began"
check "sudo twinlog logs web" log_of_web
tell "$(systemd-analyze security --no-pager twinlog.service | tail -n 1)"
check "the service is ready" active
check "nothing to warn of" no_warnings
check "capabilities of the daemon" capabilities
check "the right to perf" may_use_perf
began=$SECONDS
check "the demo" demo
tell "the demo took $((SECONDS - began)) s"
check "web's log after the demo" log_of_web
check "provisioned again" provision_again
rm /twinlog
# shellcheck disable=SC2016 # the container's shell expands it
run_container numbers 'i=0; until [ -e /test/stop ]; do i=$((i+1)); echo line $i; done; echo $i >/test/count'
check "restart" restart
check "killed, and started again" kill_it
touch /run/test/stop
check "no line is lost" whole_numbers
check "reload" reload
check "reload of a wrong configuration changes nothing" reload_bad
check "stop" stop
check "start" start
check "stop and start at once" stop_and_start
check "watchdog" watchdog
check "wrong configuration" bad_config
check "a missing capability" missing_capability
check "spill" spill
check "throttle" throttle
check "backend fentry" fentry
check "upgrade" upgrade
check "remove" remove
check "purge" purge
finish
