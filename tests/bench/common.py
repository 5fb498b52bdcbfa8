"""What the sections of the benchmark share."""

import contextlib
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import harness

BENCH = pathlib.Path(os.environ.get("BENCH", str(harness.ROOT / "build/release/tests/bench")))
BACKENDS = ("tracepoint", "fentry")


class Unavailable(Exception):
    """Why something cannot be measured here."""


def say(text):
    print(f"{time.strftime('%T')} {text}", file=sys.stderr, flush=True)


class Bench:
    """How much is measured, where the figures go, and one dockerd for those that need it."""

    def __init__(self, figures, repeats, small):
        self.figures = figures
        self.repeats = repeats
        self.small = small

    def rounds(self, what, most=None):
        """The numbers of the repeats, each told as it begins."""
        count = min(self.repeats, most or self.repeats)
        for i in range(count):
            say(f"{what}: {i + 1} of {count}")
            yield i

    def scaled(self, count):
        return max(1, count // 10) if self.small else count

    @functools.cached_property
    def docker(self):
        return harness.Dockerd()

    def close(self):
        if "docker" in self.__dict__:
            self.docker.stop()


@contextlib.contextmanager
def daemon(*options):
    with tempfile.TemporaryDirectory(prefix="twinlog-store-") as store:
        try:
            twinlog = harness.Twinlog(*options, store=store)
        except AssertionError as error:
            raise Unavailable(str(error).strip().splitlines()[-1]) from None
        try:
            yield twinlog
        finally:
            twinlog.close()


def streams(twinlog):
    """What container.json says of each stream that was ever captured into the store."""
    for path in (twinlog.store / "containers").glob("*/container.json"):
        yield from json.loads(path.read_text())["streams"].values()


def lost_bytes(twinlog):
    return sum(stream["lost"] for stream in streams(twinlog))


@contextlib.contextmanager
def loaded(loader, *arguments):
    """A loader of BPF programs (attach.c, ring.c) while they are attached."""
    process = subprocess.Popen([BENCH / loader, *map(str, arguments)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        if process.stdout.readline() != b"attached\n":
            said = process.stderr.read().decode(errors="replace").strip()
            raise Unavailable(said.splitlines()[-1] if said else f"{loader} ended with {process.wait()}")
        yield process
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def empty_program():
    """The least that anything on sys_exit costs."""
    return loaded("attach", BENCH / "empty.bpf.o")


class States:
    """Things that are measured under one condition after the other, in turns: who could not be had
    is not asked again."""

    def __init__(self, **conditions):
        """name -> function without arguments that gives a context manager."""
        self.conditions = conditions
        self.missing = {}
        self.samples = {}

    def each(self, act):
        """act(name, what the context manager gives) under each condition."""
        for name, condition in self.conditions.items():
            if name in self.missing:
                continue
            try:
                with condition() as given:
                    act(name, given)
            except Unavailable as why:
                say(f"  {name}: {why}")
                self.missing[name] = str(why)

    def add(self, name, key, sample):
        self.samples.setdefault((name, key), []).append(sample)

    def of(self, name, key):
        return self.samples.get((name, key), [])

    def compare(self, figures, section, what, unit, key, base, ours, **more):
        """A row of the table, or why there is none."""
        if ours in self.missing:
            figures.absent(section, what, ours, self.missing[ours])
        elif self.of(ours, key):
            figures.compare(section, what, unit, (base, self.of(base, key)), (ours, self.of(ours, key)), **more)


@contextlib.contextmanager
def nothing():
    yield None
