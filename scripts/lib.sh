# Shell functions that scripts/test, scripts/demo and the integration tests share. Sourced, never run.
# shellcheck shell=bash

root_dir="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# What a fresh Debian 12 lacks, by what it is for.
declare -A packages=(
    [build]="ninja-build cmake g++ clang bpftool pkg-config libbpf-dev libbpfcc-dev libelf-dev zlib1g-dev
        libspdlog-dev libcli11-dev libre2-dev libexpected-dev nlohmann-json3-dev libsystemd-dev libcap-ng-dev catch2"
    [docker]="docker.io containerd runc busybox-static"
    [test]="protobuf-compiler python3 clang-format clang-tidy shellcheck gcc-multilib util-linux mawk
        groff-base zsh fish lintian libcap2-bin libclang-rt-14-dev"
    [apparmor]="apparmor" # docker.io only recommends it, but starts no container where only the kernel has it
    [bench]="strace bpftrace linux-perf podman conmon"
    [package]="dpkg-dev file gzip"
    [kernels]="qemu-system-x86 kmod cpio xz-utils e2fsprogs binutils"
    [vm]="qemu-system-x86 mmdebstrap e2fsprogs"
    [vagrant]="vagrant vagrant-libvirt python3"
)

say() { printf '%s\n' "$*" >&2; }

die() {
    say "${0##*/}: $*"
    exit 1
}

require_root() {
    [[ $EUID -eq 0 ]] || die "must be run as root: sudo $0 $*"
}

# install_packages GROUP…: installs what is missing of these groups; touches apt only then.
install_packages() {
    local group name missing=()
    for name in $(for group in "$@"; do echo "${packages[$group]}"; done); do
        [[ "$(dpkg-query -W -f '${Status}' "$name" 2>/dev/null)" == "install ok installed" ]] ||
            missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    say "installing: ${missing[*]}"
    apt-get -qq update || die "apt-get update failed; is there a network?"
    # docker.io would start a daemon of its own, which nobody asked for: policy-rc.d says no to it.
    local policy=/usr/sbin/policy-rc.d made_policy=
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy && made_policy=1
    fi
    local status=0
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
        -o Dpkg::Use-Pty=0 install "${missing[@]}" >&2 || status=$?
    [[ -z $made_policy ]] || rm -f $policy
    ((status == 0)) || die "apt-get install failed: ${missing[*]}"
}

# build PRESET [TARGET…]: configures and builds; all targets where none is named.
build() {
    local preset=$1
    shift
    local targets=()
    (($# == 0)) || targets=(--target "$@")
    (cd "$root_dir" && cmake --preset "$preset" && cmake --build --preset "$preset" "${targets[@]}")
}

# start_dockerd DIR [OPTION…]: a dockerd that shares nothing with others: its data, state and socket
# (DIR/docker.sock) are below DIR. No network is set up. Returns when it answers.
start_dockerd() {
    local dir=$1 dockerd
    shift
    dockerd="$(PATH=$PATH:/usr/sbin:/sbin command -v dockerd)" ||
        die "dockerd is not installed: apt-get install docker.io"
    mkdir -p "$dir"
    rm -f "$dir/pid"
    setsid "$dockerd" --data-root "$dir/data" --exec-root "$dir/exec" --host "unix://$dir/docker.sock" \
        --pidfile "$dir/pid" --bridge none --iptables=false "$@" >"$dir/dockerd.log" 2>&1 </dev/null &
    local pid=$! deadline=$((SECONDS + 60))
    echo "$pid" >"$dir/started-pid"
    until command docker --host "unix://$dir/docker.sock" info >/dev/null 2>&1; do
        if ! kill -0 "$pid" 2>/dev/null; then
            tail -n 5 "$dir/dockerd.log" >&2
            die "dockerd ended at once; its log is above"
        fi
        ((SECONDS < deadline)) || die "dockerd does not answer after 60 s; see $dir/dockerd.log"
        sleep 0.05
    done
}

# stop_dockerd DIR: ends the one that start_dockerd started there, and returns when it is gone.
stop_dockerd() {
    local dir=$1 pid
    pid="$(cat "$dir/started-pid" 2>/dev/null)" || return 0
    kill "$pid" 2>/dev/null || true
    timeout 90 tail --pid="$pid" -s 0.05 -f /dev/null ||
        die "dockerd $pid does not end; see $dir/dockerd.log"
    rm -f "$dir/started-pid"
}

# remove_dockerd_dir DIR: removes what a stopped dockerd left, never reaching into a mount.
remove_dockerd_dir() {
    local dir=$1 mount
    while read -r mount; do umount -l "$mount"; done \
        < <(awk -v dir="$dir/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
    rm -rf --one-file-system "$dir"
}

# import_image SOCKET NAME [FILE…]: an image of busybox with all its applets and FILEs in /bin. A
# volume /usr makes the host's own programs usable in it, as Debian's layout is prepared.
import_image() {
    local socket=$1 name=$2 tree busybox
    shift 2
    busybox="$(command -v busybox)" || die "busybox is not installed: apt-get install busybox-static"
    tree="$(mktemp -d)"
    mkdir -p "$tree"/{bin,usr,tmp,etc,proc,sys,dev}
    ln -s usr/lib "$tree/lib"
    ln -s usr/lib64 "$tree/lib64"
    cp "$busybox" "$tree/bin/busybox"
    local applet
    while read -r applet; do
        [[ $applet == busybox ]] || ln -sf busybox "$tree/bin/$applet"
    done < <("$busybox" --list)
    (($# == 0)) || cp "$@" "$tree/bin/"
    chmod -R u+rwX,go+rX "$tree"
    local status=0
    tar -C "$tree" -c . |
        command docker --host "unix://$socket" import --change 'ENV PATH=/bin:/usr/bin' - "$name" >/dev/null ||
        status=$?
    rm -rf "$tree"
    return "$status"
}
