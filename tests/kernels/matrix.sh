#!/bin/bash
# Boots Debian's stock kernels in QEMU, without KVM, and runs twinlog with real containers on each.
# Called by scripts/test --kernels; prints one line for each kernel and case, and a table at the end.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=lib.sh
. "$here/../../scripts/lib.sh"

# Where each series is to be had, archive and suite. The cloud variant is the same source with fewer
# drivers: smaller and faster to boot.
declare -A suites=(
    [5.10]="debian-security bullseye-security"
    [6.1]="debian-security bookworm-security"
    [6.12]="debian trixie"
    [6.18]="debian trixie-backports"
    [7.3]="debian trixie-backports"
)
all_series=(5.10 6.1 6.12 6.18 7.3)
# What is refused, and the words of the way out, which `twinlog run` and `twinlog doctor` must both
# say: anything else is a failure.
declare -A refused=(
    [5.10,tracepoint]="Linux 5.19 or later is needed"
    [5.10,fentry]="Linux 5.19 or later is needed"
)
# A guest that hangs is cut off; on an idle machine all cases take a good minute.
guest_limit=${TWINLOG_GUEST_LIMIT:-600}

build_dir=$root_dir/build/release
cache=${XDG_CACHE_HOME:-$HOME/.cache}/twinlog/kernels
work=

# archive_uri NAME: where this host gets Debian's archive of that name from, or the one beside the one
# that it does use.
archive_uri() {
    local uri
    # shellcheck disable=SC2016 # apt expands it
    uri="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
        grep -m 1 -E '/debian(-security)?/$')" || die "apt has no source of Debian packages"
    echo "${uri%/*/}/$1"
}

# apt_of DIR SUITES COMMAND…: apt with lists of its own, so that the host's sources stay as they are.
apt_of() {
    local dir=$1 archive suite
    read -r archive suite <<<"$2"
    shift 2
    if [[ ! -e $dir/apt.conf ]]; then
        mkdir -p "$dir"/{state/lists/partial,cache/archives/partial,etc/apt.conf.d,etc/preferences.d}
        : >"$dir/status"
        echo "deb [arch=amd64] $(archive_uri "$archive") $suite main" >"$dir/etc/sources.list"
        cat >"$dir/apt.conf" <<END
Dir::State "$dir/state";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
Dir::Etc "$dir/etc";
Dir::Etc::trustedparts "/etc/apt/trusted.gpg.d";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Sandbox::User "root";
Acquire::Languages "none";
END
        APT_CONFIG=$dir/apt.conf apt-get -qq update >&2
    fi
    APT_CONFIG=$dir/apt.conf "$@"
}

# packages_of APT_DIR SUITE SERIES: names of the newest kernel's packages; newer ones come in three.
packages_of() {
    local image release
    image="$(apt_of "$1" "$2" apt-cache search --names-only "^linux-image-${3//./\\.}\.[-+.0-9a-z]*-cloud-amd64\$" |
        cut -d ' ' -f 1 | sort -V | tail -n 1)"
    [[ -n $image ]] || return 1
    release=${image#linux-image-}
    echo "$image"
    apt_of "$1" "$2" apt-cache depends "$image" |
        sed -En "s/^ *Depends: (linux-(base|binary|modules)-${release//+/[+]})\$/\1/p"
}

# put_modules TREE TO NAME…: these modules and what they need, not compressed, named in load order.
put_modules() {
    local tree=$1 to=$2 release path name count=10
    shift 2
    release="$(basename "$tree"/lib/modules/*)"
    depmod -b "$tree" "$release"
    mkdir -p "$to"
    for name in "$@"; do
        while read -r path; do
            name="$(basename "$path")"
            name=${name%.xz}
            compgen -G "$to/*-$name" >/dev/null && continue
            case $path in
                *.xz) xz -dc "$path" >"$to/$count-$name" ;;
                *) cp "$path" "$to/$count-$name" ;;
            esac
            count=$((count + 1))
        done < <(modprobe -d "$tree" -S "$release" --show-depends "$name" | awk '$1 == "insmod" { print $2 }')
    done
}

# fetch_kernel SERIES: makes $cache/SERIES with vmlinuz, modules/ and release, unless it is there.
fetch_kernel() {
    local series=$1 to="$cache/$1" apt="$work/apt-$1" tree="$work/tree-$1" names
    [[ ! -e $to/release ]] || return 0
    say "downloading Linux $series"
    mapfile -t names < <(packages_of "$apt" "${suites[$series]}" "$series")
    ((${#names[@]})) || die "no stock kernel $series in ${suites[$series]}"
    mkdir -p "$tree" "$apt/deb"
    (cd "$apt/deb" && apt_of "$apt" "${suites[$series]}" apt-get -qq download "${names[@]}" >&2) ||
        die "${names[*]} cannot be downloaded; is there a network?"
    for name in "$apt"/deb/*.deb; do dpkg -x "$name" "$tree"; done
    # Newer packages have all below /usr.
    [[ -e $tree/lib ]] || ln -s usr/lib "$tree/lib"
    mkdir -p "$tree/out"
    put_modules "$tree" "$tree/out/modules" virtio_mmio virtio_blk ext4 overlay
    find "$tree" -name 'vmlinuz*' -type f ! -path "$tree/out/*" -exec cp {} "$tree/out/vmlinuz" \;
    [[ -s $tree/out/vmlinuz ]] || die "there is no kernel in ${names[*]}"
    basename "$tree"/lib/modules/* >"$tree/out/release"
    mkdir -p "$cache"
    rm -rf "$to"
    mv "$tree/out" "$to"
    rm -rf "$tree" "$apt"
}

# put_program ROOT FILE…: programs and the shared objects that they need, at the same places.
put_program() {
    local root=$1 file object
    shift
    for file in "$@"; do
        for object in "$file" $(ldd "$file" 2>/dev/null | grep -o '/[^ ]*'); do
            [[ -e $root$object ]] || cp -L --parents "$object" "$root"
        done
    done
}

# make_disk OUT: what the guests run, as an ext4 image; the same for all kernels.
make_disk() {
    local root="$work/root" name
    mkdir -p "$root"/{bin,etc,proc,sys,dev,run,tmp,var/lib,root,container/{bin,proc,sys,dev,tmp}}
    cp "$(command -v busybox)" "$root/bin/"
    for name in $("$root/bin/busybox" --list); do
        [[ $name == busybox ]] || ln -s busybox "$root/bin/$name"
    done
    cp -a "$root/bin" "$root/container/"
    cp "$build_dir"/tests/tools/writer "$build_dir"/tests/tools/writer32 "$root/container/bin/"
    cp "$build_dir"/tests/bench/bench_tool "$root/bin/"
    cp "$build_dir"/bpf/capture.bpf.o "$root/"
    put_program "$root" "$build_dir/user/cli/twinlog" "$(command -v runc)" "$(command -v chrt)"
    put_program "$root" "$build_dir/tests/kernels/skipped_runs"
    ln -s "$build_dir/tests/kernels/skipped_runs" "$root/bin/skipped_runs"
    if [[ -n $docker ]]; then
        for name in dockerd docker containerd containerd-shim-runc-v2 docker-init; do
            put_program "$root" "$(command -v "$name" || die "$name is not installed")"
        done
    fi
    mkdir -p "$root/usr/bin"
    strip -o "$root/usr/bin/twinlog" "$build_dir/user/cli/twinlog"
    rm -f "$root$build_dir/user/cli/twinlog"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    printf 'root:x:0:\ntty:x:5:\ndocker:x:999:\n' >"$root/etc/group"
    echo '127.0.0.1 localhost' >"$root/etc/hosts"
    cp "$here"/{guest,cases,quick,docker,cost,skips}.sh "$root/"
    truncate -s 1G "$1"
    mkfs.ext4 -q -F -O ^has_journal -m 0 -d "$root" "$1"
    rm -rf "$root"
}

# make_initrd SERIES OUT
make_initrd() {
    local root="$work/initrd-$1"
    mkdir -p "$root"/{bin,dev,root}
    cp "$(command -v busybox)" "$root/bin/"
    cp -r "$cache/$1/modules" "$root/"
    install -m 755 "$here/init.sh" "$root/init"
    (cd "$root" && find . | cpio -o -H newc --quiet) >"$2"
    rm -rf "$root"
}

# boot SERIES BACKEND TESTS: runs the guest to its end; its console is $work/SERIES-BACKEND.console.
# tsc_early_khz and tsc=reliable: without KVM the guest cannot measure its clock, hangs at times, or
# falls back to one with steps of 4 ms.
boot() {
    local series=$1 backend=$2 tests=$3 khz status=0 started=$SECONDS
    khz="$(awk '/^cpu MHz/ { printf "%d", $4 * 1000; exit }' /proc/cpuinfo)"
    timeout "$guest_limit" qemu-system-x86_64 -M microvm -accel tcg -cpu max -smp "$cpus" -m 1024 \
        -nodefaults -no-user-config -display none -no-reboot -serial stdio \
        -drive "id=disk,file=$work/disk,format=raw,if=none,snapshot=on" -device virtio-blk-device,drive=disk \
        -kernel "$cache/$series/vmlinuz" -initrd "$work/$series.initrd" \
        -append "console=ttyS0 quiet panic=-1 reboot=t mitigations=off apparmor=0 cgroup_no_v1=all
            tsc_early_khz=$khz tsc=reliable TWINLOG_TESTS=$tests TWINLOG_BACKEND=$backend" \
        </dev/null >"$work/$series-$backend.console" 2>&1 || status=$?
    echo "$status $((SECONDS - started))" >"$work/$series-$backend.status"
}

failures=0
declare -A results=() kernels=() seconds=()
cases=()

# stated SERIES BACKEND: what the table in README.md says of it.
stated() {
    awk -F '|' -v series="$1" -v backend="$2" '
        /^\| Linux \|/ { for (i = 3; i <= NF; i++) if (index($i, "`" backend "`")) column = i }
        column && $2 ~ /^ [0-9., ]+ $/ && (", " $2 ",") ~ (", *" series " *,") { print $column; exit }
    ' "$root_dir/README.md"
}

# check_stated SERIES BACKEND WORD: README.md must say the word of it.
check_stated() {
    local cell
    [[ $2 != auto ]] || return 0
    cell="$(stated "$1" "$2")"
    [[ " ${cell//,/ } " == *" $3 "* ]] || fail "$1,$2" "it is \"$3\", README.md says \"$cell\""
}

# fail GUEST WHAT
fail() {
    echo "$1: FAILED: $2"
    failures=$((failures + 1))
}

# report SERIES BACKEND: reads the console; one line a case, the reasons of failures, the console if
# the guest did not come to its end.
report() {
    local series=$1 guest="$1,$2" console="$work/$1-$2.console" status took kind name verdict rest
    local ended='' count=0 no='' before=$failures
    read -r status took <"$work/$1-$2.status"
    while read -r _ kind rest; do
        case $kind in
            kernel) kernels[$series]=${rest#* } ;;
            doctor)
                read -r verdict rest <<<"$rest"
                if [[ -z ${refused[$series,tracepoint]:-} ]]; then
                    ((verdict == 0)) || fail "$guest" "twinlog doctor ended with $verdict: $rest"
                elif ((verdict == 0)) || [[ $rest != *"${refused[$series,tracepoint]}"* ]]; then
                    fail "$guest" "twinlog doctor ended with $verdict and does not name the way out: $rest"
                fi
                ;;
            failed) fail "$guest" "$rest" ;;
            refused)
                no=1
                echo "${kernels[$series]}: $2: refused: $rest"
                if [[ -z ${refused[$guest]:-} ]]; then
                    fail "$guest" "it is not to be refused here"
                elif [[ $rest != *"${refused[$guest]}"* ]]; then
                    fail "$guest" "twinlog run does not name the way out"
                fi
                check_stated "$series" "$2" no
                ;;
            way)
                echo "${kernels[$series]}: $2: by way of $rest"
                check_stated "$series" "$2" "$rest"
                ;;
            measured) echo "${kernels[$series]}: $2: $rest" ;;
            result)
                read -r name verdict rest <<<"$rest"
                count=$((count + 1))
                [[ " ${cases[*]} " == *" $name "* ]] || cases+=("$name")
                results[$guest,$name]=$verdict
                echo "${kernels[$series]}: $2: $name: $verdict${rest:+ ($rest)}"
                [[ $verdict != FAILED ]] || failures=$((failures + 1))
                ;;
            end) ended=1 ;;
        esac
    done < <(tr -d '\r' <"$console" | grep -a '^TWINLOG ')
    seconds[$guest]=$took
    ((status != 124)) || fail "$guest" "the guest was cut off after $guest_limit s"
    [[ -n $ended ]] || fail "$guest" "the guest did not come to its end (status $status)"
    if [[ -n $no ]]; then
        for name in "${cases[@]}"; do results[$guest,$name]=refused; done
    elif [[ -n ${refused[$guest]:-} ]]; then
        fail "$guest" "it is no longer refused"
    elif ((count == 0)) && runs_cases; then
        fail "$guest" "no case ran"
    fi
    if ((failures > before)); then
        echo "--- console of $guest ---"
        tr -d '\r' <"$console" | grep -av ' ok [0-9]* bytes$' | tail -n 200
        echo "---"
    fi
}

# Whether it is tests that run, and not measurements.
runs_cases() { [[ $tests == cases || $tests == quick || $tests == docker ]]; }

# print_table: Markdown; a column for each kernel and backend.
print_table() {
    local name series backend guests=() guest
    for series in "${chosen[@]}"; do
        for backend in "${backends[@]}"; do guests+=("$series,$backend"); done
    done
    printf '\n| case and where the output goes |'
    for guest in "${guests[@]}"; do printf ' %s %s |' "${kernels[${guest%,*}]:-$guest}" "${guest#*,}"; done
    printf '\n| --- |'
    for guest in "${guests[@]}"; do printf ' --- |'; done
    for name in "${cases[@]}"; do
        printf '\n| %s |' "${name%/*}: ${name##*/}"
        for guest in "${guests[@]}"; do printf ' %s |' "${results[$guest,$name]:-refused}"; done
    done
    printf '\n| seconds from power-on to the last result |'
    for guest in "${guests[@]}"; do printf ' %s |' "${seconds[$guest]:-}"; done
    printf '\n'
}

clean_up() {
    local pid
    # Those of this script alone; timeout(1) passes the signal on to its QEMU.
    for pid in $(jobs -p); do kill "$pid" 2>/dev/null || true; done
    wait
    [[ -z $work ]] || rm -rf "$work"
}

usage() {
    cat <<END
usage: tests/kernels/matrix.sh [--build-dir DIR] [--backend BACKEND] [--quick | --docker | --cost | --skips] [--cpus N] [SERIES…]
  --build-dir DIR  what is tested (default: build/release)
  --backend NAME   auto, tracepoint or fentry (default: tracepoint and fentry)
  --quick          one case for each way into a stream and out of it
  --docker         containers of a dockerd instead of runc's
  --cost           no tests: what calls cost with the backend and without; for an idle machine
  --skips          no tests: how many runs of programs the kernel skips, by the way they are run
  --cpus N         processors of each guest (default: 1; dockerd hangs on some kernels with more)
  SERIES           of: ${all_series[*]} (default: all; with --docker 6.1, with --cost 6.12)
END
}

docker=
tests=cases
cpus=1
chosen=()
backends=()
while (($#)); do
    case $1 in
        --build-dir) build_dir=${2:?}; shift ;;
        --backend) backends+=("${2:?}"); shift ;;
        --quick) tests=quick ;;
        --docker) docker=1; tests=docker ;;
        --cost) tests=cost ;;
        --skips) tests=skips; backends=(auto); cpus=2 ;;
        --cpus) cpus=${2:?}; shift ;;
        -h | --help) usage; exit 0 ;;
        -*) usage >&2; exit 2 ;;
        *)
            [[ -n ${suites[$1]:-} ]] || die "no kernel $1: there are ${all_series[*]}"
            chosen+=("$1")
            ;;
    esac
    shift
done
((${#backends[@]})) || backends=(tracepoint fentry)
if ((${#chosen[@]} == 0)); then
    case $tests in
        docker) chosen=(6.1) ;;
        cost) chosen=(6.12) ;;
        *) chosen=("${all_series[@]}") ;;
    esac
fi
[[ $(uname -m) == x86_64 ]] || die "the kernels are for x86_64, this machine is not"
# What goes into the guest is Debian's own.
PATH=/usr/sbin:/usr/bin:/sbin:/bin

work="$(mktemp -d "${TMPDIR:-/tmp}/twinlog-kernels.XXXXXX")"
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
for series in "${chosen[@]}"; do fetch_kernel "$series"; done
make_disk "$work/disk"
for series in "${chosen[@]}"; do make_initrd "$series" "$work/$series.initrd"; done
# As many guests at a time as there are processors for them.
at_once=$(($(nproc) / cpus))
runs_cases || at_once=1
for series in "${chosen[@]}"; do
    for backend in "${backends[@]}"; do
        while (($(jobs -rp | wc -l) >= (at_once > 0 ? at_once : 1))); do wait -n; done
        boot "$series" "$backend" "$tests" &
    done
done
wait
for series in "${chosen[@]}"; do
    for backend in "${backends[@]}"; do report "$series" "$backend"; done
done
if runs_cases; then print_table; fi
((failures == 0)) || die "$failures failures"
