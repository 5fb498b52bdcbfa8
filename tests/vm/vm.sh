#!/bin/bash
# Boots a Debian 12 with systemd and Docker in QEMU, without KVM, and does there what a user does:
# vagrant/provision.sh installs the package, then guest.sh restarts, kills, stops and removes it.
# Called by scripts/test --vm; prints one line a check.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=lib.sh
. "$here/../../scripts/lib.sh"

# All checks take some minutes on an idle machine.
guest_limit=${TWINLOG_GUEST_LIMIT:-1800}
# What a Vagrant box of Debian has, and what provision.sh would install: the guest has no network.
# Libraries are those that the package asks for.
system=(systemd-sysv udev dbus sudo procps iproute2 kmod linux-image-cloud-amd64 initramfs-tools
    docker.io containerd runc iptables apparmor busybox-static)

build_dir=$root_dir/build/release
cache=${XDG_CACHE_HOME:-$HOME/.cache}/twinlog/vm
work=

usage() {
    cat <<END
usage: tests/vm/vm.sh [--package FILE] [--keep-console FILE]
  --package FILE       what is tested (default: built from build/release)
  --keep-console FILE  where to write all that the guest says
END
}

# make_package OUT: of what is built.
make_package() {
    mkdir -p "$work/package"
    (cd "$build_dir" && cpack -B "$work/package" >"$work/cpack" 2>&1) || {
        cat "$work/cpack" >&2
        die "cpack failed"
    }
    mv "$work"/package/twinlog_*.deb "$1"
}

# libraries_of PACKAGE: names of the packages that it depends on.
libraries_of() {
    dpkg-deb -f "$1" Depends | tr ',' '\n' | sed 's/^ *//; s/[ |(].*//' | sort -u
}

# make_base DIR NAME…: a disk with these packages, its kernel and its initrd, unless they are there.
make_base() {
    local dir=$1 root="$work/root" uri
    shift
    [[ ! -e $dir/disk ]] || return 0
    say "making a Debian 12 of ${#@} packages and what they need, once"
    # shellcheck disable=SC2016 # apt expands it
    uri="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
        grep -m 1 '/debian/$')" || die "apt has no source of Debian packages"
    mmdebstrap --quiet --variant=minbase --include="$(IFS=,; echo "$*")" bookworm "$root" "$uri" >&2 ||
        die "mmdebstrap failed; is there a network?"
    echo twinlog >"$root/etc/hostname"
    echo '127.0.0.1 localhost twinlog' >"$root/etc/hosts"
    printf '/dev/vda / ext4 defaults 0 0\n/dev/vdb /payload ext4 ro 0 0\n' >"$root/etc/fstab"
    # The guest has no network to read others from, and an hour's worth of patience to parse these.
    rm -rf "$root"/var/lib/apt/lists/*
    mkdir "$root/payload"
    cat >"$root/etc/systemd/system/payload.service" <<'END'
[Unit]
Description=What the test brought along
RequiresMountsFor=/payload
After=docker.service
[Service]
Type=oneshot
ExecStart=/bin/bash /payload/tests/vm/guest.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=multi-user.target
END
    ln -s ../payload.service "$root/etc/systemd/system/multi-user.target.wants/"
    mkdir -p "$dir"
    cp "$(readlink -f "$root/vmlinuz")" "$dir/vmlinuz" 2>/dev/null || cp "$root"/boot/vmlinuz-* "$dir/vmlinuz"
    cp "$root"/boot/initrd.img-* "$dir/initrd"
    truncate -s 3G "$dir/disk.new"
    mkfs.ext4 -q -F -d "$root" "$dir/disk.new"
    mv "$dir/disk.new" "$dir/disk"
    rm -rf "$root"
}

# boot DIR: becomes the guest, until its end; its console on stdout. For a process of its own, to which
# signals can be sent.
boot() {
    local khz
    # Without KVM the guest cannot measure its clock, hangs at times, or has one with steps of 4 ms.
    khz="$(awk '/^cpu MHz/ { printf "%d", $4 * 1000; exit }' /proc/cpuinfo)"
    exec timeout "$guest_limit" qemu-system-x86_64 -M microvm -accel tcg -cpu max -smp 1 -m 1536 \
        -nodefaults -no-user-config -display none -no-reboot -serial stdio \
        -drive "id=base,file=$1/disk,format=raw,if=none,snapshot=on" -device virtio-blk-device,drive=base \
        -drive "id=payload,file=$work/payload,format=raw,if=none,readonly=on" \
        -device virtio-blk-device,drive=payload -kernel "$1/vmlinuz" -initrd "$1/initrd" \
        -append "root=/dev/vda rw console=ttyS0 quiet panic=-1 reboot=t mitigations=off net.ifnames=0
            lockdown=integrity tsc_early_khz=$khz tsc=reliable systemd.show_status=false" </dev/null
}

clean_up() {
    local pid
    # Those of this script alone; timeout(1) passes the signal on to its QEMU.
    for pid in $(jobs -p); do kill "$pid" 2>/dev/null || true; done
    wait
    [[ -z $work ]] || rm -rf --one-file-system "$work"
}

package='' keep=''
while (($#)); do
    case $1 in
        --package) package="$(realpath "${2:?}")"; shift ;;
        --keep-console) keep="$(realpath "${2:?}")"; shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[[ $(uname -m) == x86_64 ]] || die "the guest is for x86_64, this machine is not"
PATH=/usr/sbin:/usr/bin:/sbin:/bin

work="$(mktemp -d "${TMPDIR:-/tmp}/twinlog-vm.XXXXXX")"
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$work/tree/tests"
if [[ -n $package ]]; then cp "$package" "$work/tree/twinlog.deb"; else make_package "$work/tree/twinlog.deb"; fi
mapfile -t libraries < <(libraries_of "$work/tree/twinlog.deb")
# Another list, or another way to make it, is another disk.
base="$cache/$({ printf '%s\n' "${system[@]}" "${libraries[@]}"; declare -f make_base; } | sha256sum | cut -c 1-16)"
make_base "$base" "${system[@]}" "${libraries[@]}"
cp -r "$root_dir"/{scripts,vagrant} "$work/tree/"
cp -r "$here" "$work/tree/tests/"
truncate -s 128M "$work/payload"
mkfs.ext4 -q -F -O ^has_journal -m 0 -d "$work/tree" "$work/payload"

failures=0 count=0 ended=
started=${EPOCHREALTIME/./}
mkfifo "$work/console"
boot "$base" >"$work/console" 2>&1 &
: >"$work/log"
while IFS= read -r line; do
    line=${line%$'\r'}
    printf '%s\n' "$line" >>"$work/log"
    [[ $line == *'TWINLOG '* ]] || continue
    line=${line#*TWINLOG }
    printf '%5.1f s  %s\n' "$(((${EPOCHREALTIME/./} - started) / 100000))e-1" "$line"
    case $line in
        ok*) count=$((count + 1)) ;;
        FAILED*) failures=$((failures + 1)) ;;
        end) ended=1 ;;
    esac
done <"$work/console"
status=0
wait $! || status=$?
[[ -z $keep ]] || cp "$work/log" "$keep"
if [[ -z $ended ]] || ((failures > 0 || count == 0)); then
    [[ -n $ended ]] || say "the guest did not come to its end (status $status)"
    tail -n 200 "$work/log" >&2
    die "$failures failures"
fi
echo "$count checks passed"
