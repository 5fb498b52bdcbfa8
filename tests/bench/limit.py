"""How near twinlog comes to what the machine could do at all: copies in memory, a bare BPF ring whose
consumer drops everything, a pipe that goes into a file."""

import os
import subprocess
import tempfile
import time

from common import BENCH, Unavailable, daemon, loaded, lost_bytes, say
from processes import wait_until_idle
from timed_calls import Calls

SIZES = {100: 300_000, 16384: 20_000}  # bytes of a record: how many
# Pages of a ring are new at first, and whoever is the first to touch one pays for it: so much goes
# through before the clocks run.
RING = 8 << 20  # as in ring.bpf.c
TWINLOG_RING = 64 << 20


def copies(size, count):
    """Bytes a second."""
    done = subprocess.run([BENCH / "bench_tool", "copies", str(size), str(10 * count)], stdout=subprocess.PIPE,
                          check=True)
    total, ns = map(int, done.stdout.split())
    return total / (ns / 1e9)


def bare_ring(calls, kind, size, count):
    """Bytes a second that the consumer has had."""
    with loaded("ring", BENCH / "ring.bpf.o", size, calls.pid) as ring:
        warm = 2 * RING // size
        calls.times(kind, size, warm)
        wall, _ = calls.times(kind, size, count)
        ring.stdin.close()
        taken, dropped = map(int, ring.stdout.readline().split())
    return max(taken - warm, 0) * size / wall, dropped


def pipe_to_file(size, count):
    with tempfile.TemporaryFile(prefix="twinlog-bench-") as file:
        begun = time.monotonic()
        writing = subprocess.Popen(["dd", "if=/dev/zero", f"bs={size}", f"count={count}", "status=none"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        subprocess.run(["cat"], stdin=writing.stdout, stdout=file, check=True)
        writing.stdout.close()
        writing.wait()
        return os.fstat(file.fileno()).st_size / (time.monotonic() - begun)


def into_log(calls, size, count):
    """Bytes a second, until all is in the log."""
    with daemon("--pid", calls.pid, "--max-size", "-1", "--ring-size", TWINLOG_RING) as twinlog:
        calls.times("drained", 65536, 2 * TWINLOG_RING // 65536)
        pid = twinlog.process.pid
        wait_until_idle(pid)
        begun = time.monotonic()
        wall, _ = calls.times("drained", size, count)
        done = max(wall, wait_until_idle(pid) - begun)
        twinlog.stop()
        lost = lost_bytes(twinlog)
    return size * count / done, lost


ROWS = ("memcpy", "bare ring, writes to /dev/null", "bare ring, writes to a pipe", "pipe alone", "cat pipe >file")


def measure(bench):
    calls = Calls()
    samples, lost, dropped, missing = {}, [], {}, {}

    def add(name, size, value):
        samples.setdefault((name, size), []).append(value / 1e6)

    try:
        for _ in bench.rounds("limit"):
            for size, count in SIZES.items():
                count = bench.scaled(count)
                add("memcpy", size, copies(size, count))
                for kind, name in (("null", ROWS[1]), ("drained", ROWS[2])):
                    if name in missing:
                        continue
                    try:
                        rate, less = bare_ring(calls, kind, size, count)
                    except Unavailable as why:
                        say(f"  {name}: {why}")
                        missing[name] = str(why)
                        continue
                    add(name, size, rate)
                    dropped.setdefault((name, size), []).append(less)
                add("pipe alone", size, size * count / calls.times("drained", size, count)[0])
                add("cat pipe >file", size, pipe_to_file(size, count))
                rate, gone = into_log(calls, size, count)
                add("twinlog", size, rate)
                lost.append(gone)
    finally:
        calls.close()

    for size in SIZES:
        for name in ROWS:
            what = f"records of {size} B"
            if name in missing:
                bench.figures.absent("limit", what, name, missing[name])
                continue
            bench.figures.compare("limit", what, "MB/s", (name, samples[name, size]),
                                  ("twinlog, to the log", samples["twinlog", size]), higher_is_better=True)
            if (name, size) in dropped:
                bench.figures.fact("limit", f"{what}, dropped for want of room", "", name, dropped[name, size])
    bench.figures.fact("limit", "bytes lost while measuring", "B", "twinlog", lost)
