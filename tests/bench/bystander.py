"""What processes pay that nobody traces, while others are traced beside them."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

from common import BACKENDS, States, daemon, empty_program, nothing
from timed_calls import Calls

# What is asked: kind, bytes, calls.
CALLS = {"getppid": ("getppid", 1, 1_000_000), "write of 1 B to /dev/null": ("null", 1, 1_000_000),
         "write of 4 KiB to a file": ("file", 4096, 100_000)}

COMPILED = pathlib.Path(__file__).with_name("calls.c")
INSERTS = """
import sqlite3, sys
base = sqlite3.connect(sys.argv[1], isolation_level=None)
base.execute("pragma synchronous = off")
base.execute("create table t (k integer primary key, v text)")
for i in range(int(sys.argv[2])):
    base.execute("insert into t values (?, ?)", (i, "x" * 100))
"""


def cpu_ms(*argv):
    """Of a program and all that it started."""
    process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv[0]} ended with {process.returncode}")
    return 1000 * (usage.ru_utime + usage.ru_stime)


@contextlib.contextmanager
def twinlog_beside(backend):
    """A daemon that has a process to trace, which is quiet."""
    traced = subprocess.Popen(["sleep", "1000000"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        with daemon("--pid", traced.pid, "--backend", backend) as given:
            yield given
    finally:
        traced.kill()
        traced.wait()
        traced.stdout.close()


def measure(bench):
    ours = {f"twinlog/{backend}": lambda backend=backend: twinlog_beside(backend) for backend in BACKENDS}
    states = States(nothing=nothing, **{"empty program": empty_program}, **ours)
    calls = Calls()
    programs = {"compile of a small C file, CPU": lambda _: cpu_ms("cc", "-O2", "-c", COMPILED, "-o", "/dev/null"),
                "SQLite, inserts of 100 B, CPU": lambda directory: cpu_ms(
                    sys.executable, "-c", INSERTS, f"{directory}/base", bench.scaled(10_000))}

    def take(name, _):
        for what, (kind, size, count) in CALLS.items():
            states.add(name, what, calls.ns(kind, size, bench.scaled(count)))
        for what, run in programs.items():
            with tempfile.TemporaryDirectory(prefix="twinlog-bench-") as directory:
                states.add(name, what, run(directory))

    try:
        for _ in bench.rounds("bystander"):
            states.each(take)
    finally:
        calls.close()

    for what in (*CALLS, *programs):
        unit = "ns" if what in CALLS else "ms"
        for name in ("empty program", *ours):
            states.compare(bench.figures, "bystander", what, unit, what, "nothing", name, panel=(
                "bystander" if name in ours and what not in CALLS else None))
        for name in ours:
            if name not in states.missing:
                states.compare(bench.figures, "bystander", what, unit, what, "empty program", name)
