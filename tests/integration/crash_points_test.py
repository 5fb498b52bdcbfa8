"""Exactly once, whatever the point at which the daemon is killed. `crash_points` (tests/tools) is
preloaded: each life of the daemon ends at the next file operation, pin, or store into what it shares
with the kernel at which none has ended yet, until one goes through all of them.

CRASH_TIMES=N in the environment takes the first N passings of each point instead of one."""

import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import harness
from harness import TOOLS, TWINLOG, Puppet, gap_of, read_line, text_of


class Group:
    """A container without a runtime: a cgroup that bears its name, in which each run is the first
    process of a pid namespace. What comes out of its pipes is kept as the reference."""

    def __init__(self, name, directory):
        self.name = name
        self.cgroup = harness.naming_hierarchy() / name
        self.cgroup.mkdir()
        self.reference = {fd: open(directory / f"{name}.{fd}", "ab+") for fd in (1, 2)}
        self.processes = []

    def start(self, *argv):
        readers = [subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=self.reference[fd]) for fd in (1, 2)]
        script = f'echo 0 >"{self.cgroup}/cgroup.procs"; exec unshare --pid --fork --kill-child "$@"'
        first = subprocess.Popen(["sh", "-c", script, "sh", *map(str, argv)], stdin=subprocess.DEVNULL,
                                 stdout=readers[0].stdin, stderr=readers[1].stdin)
        for reader in readers:
            reader.stdin.close()
        self.processes = [first, *readers]

    def wait(self):
        for process in self.processes:
            process.wait(harness.DEADLINE)

    def output(self, fd):
        self.reference[fd].seek(0)
        return self.reference[fd].read()

    def close(self):
        for process in self.processes:
            process.kill()
        self.wait()
        harness.wait_until(self.removed, f"the end of all processes in {self.cgroup}")
        for file in self.reference.values():
            file.close()

    def removed(self):
        try:
            self.cgroup.rmdir()
        except OSError:
            return False
        return True


class CrashPoints(unittest.TestCase):
    writers = 5
    lines = 30  # of 50 bytes that each writes in a life
    options = ("--max-size", "4k", "--max-file", "400")

    def setUp(self):
        if os.geteuid() != 0:
            harness.cannot_run("needs root")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-crash-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.store = self.directory / "store"
        self.store.mkdir()
        self.visited = self.directory / "visited"
        self.addCleanup(harness.run, TWINLOG, "stop", "--discard", "--store", self.store, check=False)
        self.steps = 0
        self.ends = []  # where the lives ended, by step
        self.groups = [Group(f"twinlog-crash-{os.getpid()}-{i}", self.directory) for i in range(self.writers + 1)]
        for group in self.groups:
            self.addCleanup(group.close)
        self.brief = self.groups.pop()
        self.puppets = []

    def spawn(self, points=True):
        environment = {} if not points else {"LD_PRELOAD": str(TOOLS / "crash_points.so"), "CRASH_STORE": str(self.store),
                       "CRASH_VISITED": str(self.visited), "CRASH_TIMES": os.environ.get("CRASH_TIMES", "1")}
        names = [word for group in (*self.groups, self.brief) for word in ("--container", group.name)]
        self.daemon = subprocess.Popen(
            [TWINLOG, "run", "--store", str(self.store), "--on-stop", "keep", *names, *self.options],
            env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(self.daemon.stderr.close)

    def ready(self):
        """Whether it got so far."""
        said = b""
        while b"ready: " not in said:
            said = read_line(self.daemon.stderr)
            if not said:
                return False
        return True

    def ended(self):
        """How the life ended: b"" for one that went through all points."""
        status = self.daemon.wait(harness.DEADLINE)
        said = self.daemon.stderr.read().decode(errors="replace")
        self.assertIn(status, (0, -signal.SIGKILL), said)
        points = self.visited.read_text().splitlines() if self.visited.exists() else ["any"]
        point = points[-1] if status else ""
        self.ends.append((self.steps, point))
        return point

    def start_writers(self):
        for group in self.groups:
            puppet = Puppet()
            self.addCleanup(puppet.close)
            group.start(*puppet.argv())
            self.puppets.append(puppet)

    def step(self):
        """Each writer writes some; the brief container begins anew and ends."""
        self.steps += 1
        for number, puppet in enumerate(self.puppets):
            first = number * 10_000_000 + self.steps * self.lines
            puppet.tell("say", 1, f" continued {number} {self.steps}")
            puppet.tell("block", 1, 50 * self.lines, first)
            puppet.tell("say", 2, f"error {number} {self.steps}")
            puppet.tell("put", 1, f"begun {number} {self.steps}")
        for puppet in self.puppets:
            for _ in range(4):
                self.assertGreater(puppet.answer(), 0)

    def brief_run(self):
        self.brief.wait()
        self.brief.start("sh", "-c", f"echo brief {self.steps}; echo error {self.steps} >&2; printf end")

    def settled(self):
        """All is in the files, and they are compressed."""
        for group in self.groups:
            out, err = group.output(1), group.output(2)
            directory = self.directory_of(group)
            plain = [name for name in os.listdir(directory) if re.search(r"\.(\d+|tmp)$", name)]
            if len(plain) != 1 or self.positions(directory) != (out.rfind(b"\n") + 1, len(err)):
                return False
        info = self.directory_of(self.brief) / "container.json"
        return info.exists() and b'"ended"' in info.read_bytes() and self.brief.processes[0].poll() is not None

    def wait_for_end_or_rest(self):
        deadline = time.monotonic() + harness.DEADLINE
        while self.daemon.poll() is None:
            # Files are renamed while they are looked at.
            with contextlib.suppress(FileNotFoundError):
                if self.settled():
                    break
            if time.monotonic() > deadline:
                self.fail(f"the logs were not complete in time: {self.state()}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.daemon.wait(0.05)
        self.daemon.terminate()

    def state(self):
        """What explains a failure: how far the logs are and where lives ended."""
        groups = [group for group in (*self.groups, self.brief) if group.processes]
        logs = {group.name: (len(group.output(1)), len(group.output(2)), self.positions(self.directory_of(group)),
                             sorted(name for name in os.listdir(self.directory_of(group)) if not name.endswith(".gz")))
                for group in groups}
        info = [(self.directory_of(group) / "container.json").read_text() for group in groups]
        self.daemon.kill()
        said = self.daemon.stderr.read().decode(errors="replace")
        return f"{logs}\n{info}\nthe daemon said: {said}\nlives ended, by step: {self.ends}"

    def directory_of(self, group):
        return self.store / "containers" / group.name

    @staticmethod
    def positions(directory):
        """Behind the last entry of each stream."""
        found = {}
        for path in harness.file_set(directory / "container-cached.log")[-2:]:
            for entry in harness.entries_of(path):
                found[entry.source] = entry.extra.get(1000, [0])[0] + len(text_of(entry))
        return found.get("stdout", 0), found.get("stderr", 0)

    def check(self, group):
        log = harness.run(TWINLOG, "logs", "--store", self.store, group.name)
        for fd, ours in ((1, log.stdout), (2, log.stderr)):
            reference = group.output(fd)
            if ours == reference:
                continue
            at = next((i for i, (a, b) in enumerate(zip(ours, reference)) if a != b), min(len(ours), len(reference)))
            around = slice(max(0, at - 100), at + 200)
            self.fail(f"{group.name}, fd {fd}: {len(ours)} bytes instead of {len(reference)}, from {at}:\n"
                      f"{ours[around]!r}\nnot\n{reference[around]!r}\nlives ended, by step: {self.ends}")
        counted = json.loads((self.directory_of(group) / "container.json").read_text())["streams"]
        self.assertEqual([(counted[name]["bytes"], counted[name]["lost"]) for name in ("stdout", "stderr")],
                         [(len(group.output(1)), 0), (len(group.output(2)), 0)])
        return group.output(1).count(b"\n") + group.output(2).count(b"\n")

    def check_brief(self):
        """Runs of which one began before the daemon had heard of the other's end may mingle; each is whole."""
        runs = collections.defaultdict(list)
        for entry in harness.local_entries(self.directory_of(self.brief) / "container-cached.log"):
            self.assertIsNone(gap_of(entry))
            runs[entry.extra[1001][0]].append((entry.source, entry.line))
        ours = [[line for source, line in runs[run] if source == wanted]
                for run in sorted(runs) for wanted in ("stdout", "stderr")]
        out, err = self.brief.output(1), self.brief.output(2)
        reference = [lines for line, error in zip(re.findall(rb"brief \d+", out), err.splitlines())
                     for lines in ([line, b"end"], [error])]
        self.assertEqual(ours, reference)
        return 3 * len(runs)

    def first_life(self):
        """Nothing is captured before a daemon was ready for the first time."""
        self.spawn()
        while not self.ready():
            self.ended()
            self.spawn()

    def finish(self):
        """The writers end, and so does a last daemon, which nobody kills, once it knows that."""
        self.spawn(points=False)
        self.assertTrue(self.ready())
        for puppet in self.puppets:
            puppet.end()
        for group in (*self.groups, self.brief):
            group.wait()
            if not group.processes:
                continue
            # A follow ends when the daemon knows of the end.
            try:
                harness.run(TWINLOG, "logs", "--store", self.store, "-f", group.name)
            except subprocess.TimeoutExpired:
                self.fail(f"{group.name} has not ended: {self.state()}")
        self.daemon.terminate()
        self.assertEqual(self.ended(), "")

    def test_every_point(self):
        self.first_life()
        self.start_writers()
        while True:
            self.step()
            self.brief_run()
            self.wait_for_end_or_rest()
            if not self.ended():
                break
            self.step()
            self.first_life()
        self.finish()
        lines = sum(self.check(group) for group in self.groups) + self.check_brief()
        for group in self.groups:
            at = {"stdout": 0, "stderr": 0}
            for entry in harness.local_entries(self.directory_of(group) / "container-cached.log"):
                self.assertIsNone(gap_of(entry))
                self.assertEqual(entry.extra.get(1000, [0])[0], at[entry.source])
                at[entry.source] += len(text_of(entry))
        harness.run(TWINLOG, "verify", "--store", self.store)
        points = self.visited.read_text().splitlines()
        print(f"  ({lines} lines over {len(points)} kills at as many points)", flush=True)


    def check_with_gaps(self, group):
        """What is in the log stands where it was written, and gaps tell of all the rest. Returns how much."""
        missing = 0
        streams = {"stdout": group.output(1), "stderr": group.output(2)}
        at = dict.fromkeys(streams, 0)
        for entry in harness.local_entries(self.directory_of(group) / "container-cached.log"):
            position, gap = entry.extra.get(1000, [0])[0], gap_of(entry)
            source = entry.source.removeprefix("gap-")
            self.assertEqual(position, at[source], f"{group.name}: lives ended, by step: {self.ends}")
            if gap is None:
                text = text_of(entry)
                self.assertEqual(text, streams[source][position:position + len(text)])
            missing += gap or 0
            at[source] += len(text) if gap is None else gap
        self.assertEqual(at, {name: len(text) for name, text in streams.items()})
        return missing

    def test_full_store(self):
        """Killed at every point while there is no space left, and when there is space again."""
        size = 64 << 20
        harness.run("mount", "-t", "tmpfs", "-o", f"size={size}", "none", self.store)
        self.addCleanup(harness.run, "umount", self.store)
        self.options, self.lines = ("--max-size", "-1"), 400
        # What a first start passes has been looked at by test_every_point.
        self.spawn(points=False)
        self.assertTrue(self.ready())
        self.start_writers()
        filler = self.store / "filler"
        # What is left is not enough for the first lines, but for what a daemon needs to start.
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size - 400_000)
        for _ in range(4):
            self.step()
        self.daemon.kill()
        self.ended()
        self.first_life()
        for space in (False, True):
            if space:
                filler.unlink()
                self.first_life()
            while True:
                self.step()
                self.daemon.terminate()
                if not self.ended():
                    break
                self.first_life()
        self.step()
        self.finish()
        missing = sum(self.check_with_gaps(group) for group in self.groups)
        self.assertGreater(missing, 0)
        print(f"  ({missing} bytes in gaps, {len(self.visited.read_text().splitlines())} kills)", flush=True)


if __name__ == "__main__":
    harness.main()
