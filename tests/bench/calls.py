"""What a write costs a process that is traced: by nobody, by twinlog, by others."""

import contextlib
import functools
import os
import subprocess

import peers
from common import BACKENDS, States, daemon, lost_bytes, nothing
from processes import cpu_seconds, wait_until_idle
from timed_calls import Calls

# System calls a question: enough to take some 0.1 s, and all of it fits into the ring.
CALLS = {1: 100_000, 100: 100_000, 4096: 20_000, 65536: 2_000}
DD = 50_000
# Room for what one question writes and another reads. Each page of a ring costs whoever is the first to
# touch it some 12 us on a virtual machine with shadow page tables: that is over before the clocks run.
RING = 256 << 20

WRITES = {"drained": "write of {} B, to a pipe that another drains",
          "alone": "write of {} B, the call alone",
          "spliced": "write of {} B, the call alone, its reader cannot be seen",
          "taken": "read of {} B, the call alone"}
QUESTIONS = [(kind, size) for kind in WRITES for size in CALLS]

# How much less of it those are asked that would take too long.
PEERS = {"strace": (peers.strace, 50), "bpftrace, 200 B of each": (peers.bpftrace, 5),
         "perf trace, no contents": (peers.perf_trace, 5), "sysdig": (peers.sysdig, 5)}


class WaitingDd:
    """dd bs=1 into a drained pipe, that waits for a word so that a tracer can come first."""

    def __init__(self, count):
        self.count = count
        self.process = subprocess.Popen(
            ["sh", "-c", 'read -r _; exec dd if=/dev/zero bs=1 count="$1"', "sh", str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"})
        self.drain = subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=subprocess.DEVNULL)
        self.process.stdout.close()
        self.pid = self.process.pid

    def ns(self):
        """Time of a read and a write, as dd itself tells."""
        said = self.process.communicate(b"go\n")[1].decode()
        self.drain.wait()
        return 1e9 * float(said.split("copied,")[1].split()[0]) / self.count

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.drain.wait()


def touch_ring(process, twinlog):
    """Once round the ring."""
    block = max(CALLS)
    for _ in range(5):
        process.ns("alone", block, RING // block // 4)
        wait_until_idle(twinlog.process.pid)


class Round:
    """Under one condition after the other, each with a dd of its own."""

    def __init__(self, traced, bench):
        self.traced = traced
        self.bench = bench
        self.lost, self.daemon_cpu = [], {}
        self.dd = None
        conditions = {"nothing": functools.partial(self.with_dd, lambda _: nothing(), 1)}
        for name, (tracer, divisor) in PEERS.items():
            conditions[name] = functools.partial(
                self.with_dd, lambda pids, tracer=tracer: tracer(pids, self.poke), divisor)
        for backend in BACKENDS:
            conditions[f"twinlog/{backend}"] = functools.partial(
                self.with_dd, functools.partial(self.twinlog, backend), 1)
        self.states = States(**conditions)

    def poke(self):
        self.traced.ns("drained", 1, 1000)

    @staticmethod
    def twinlog(backend, pids):
        return daemon(*(word for pid in pids for word in ("--pid", pid)), "--backend", backend, "--ring-size", RING)

    @contextlib.contextmanager
    def with_dd(self, tracer, divisor):
        self.dd = WaitingDd(self.bench.scaled(DD // divisor))
        try:
            with tracer([self.traced.pid, self.dd.pid]) as given:
                yield given
        finally:
            self.dd.close()

    def count(self, size, divisor=1):
        return max(10, self.bench.scaled(CALLS[size] // divisor))

    def measure(self, name, given):
        twinlog = given if name.startswith("twinlog") else None
        divisor = PEERS[name][1] if name in PEERS else 1
        if twinlog:
            touch_ring(self.traced, twinlog)
        for kind, size in QUESTIONS:
            # Others are only asked what a writer feels in earnest.
            if name in PEERS and kind != "drained":
                continue
            count = self.count(size, divisor)
            self.traced.ns(kind, size, max(1, count // 10))
            if twinlog:
                wait_until_idle(twinlog.process.pid)
                before = cpu_seconds(twinlog.process.pid)
            self.states.add(name, (kind, size), self.traced.ns(kind, size, count))
            if twinlog and kind in ("alone", "spliced"):
                wait_until_idle(twinlog.process.pid)
                used = cpu_seconds(twinlog.process.pid) - before
                self.daemon_cpu.setdefault((name, kind, size), []).append(used / (size * count / 1e9))
        self.states.add(name, "dd", self.dd.ns())
        if twinlog:
            twinlog.stop()
            self.lost.append(lost_bytes(twinlog))

    def report(self, figures):
        ours = [f"twinlog/{backend}" for backend in BACKENDS]
        for size in CALLS:
            for name in (*PEERS, *ours):
                self.states.compare(figures, "writer", WRITES["drained"].format(size), "ns", ("drained", size),
                                    "nothing", name, panel="writer" if size == 100 else None)
        for name in (*PEERS, *ours):
            self.states.compare(figures, "writer", "dd bs=1, a read and a write", "ns", "dd", "nothing", name)
        for kind, size in QUESTIONS:
            for name in ours:
                if kind != "drained" and name not in self.states.missing:
                    self.states.compare(figures, "reader" if kind == "taken" else "writer",
                                        WRITES[kind].format(size), "ns", (kind, size), "nothing", name)
        for name in ours:
            for size in CALLS:
                if (name, "alone", size) in self.daemon_cpu:
                    figures.compare("read side", f"writes of {size} B: CPU of the daemon, {name}", "s/GB",
                                    ("reader unseen", self.daemon_cpu[name, "spliced", size]),
                                    ("reader seen", self.daemon_cpu[name, "alone", size]))
        figures.fact("writer", "bytes lost while measuring", "B", "twinlog", self.lost)


def measure(bench):
    traced = Calls()
    try:
        turn = Round(traced, bench)
        for _ in bench.rounds("calls"):
            turn.states.each(turn.measure)
    finally:
        traced.close()
    turn.report(bench.figures)
