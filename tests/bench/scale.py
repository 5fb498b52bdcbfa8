"""What many containers cost that do nothing or little: the daemon's time and memory, the delay until a
follower shows a line, and how long the daemon takes to find all of them when it starts. The containers
have no runtime (crowd.c): a thousand of dockerd's would be a measurement of dockerd."""

import contextlib
import itertools
import pathlib
import statistics
import subprocess
import tempfile
import time

import harness
from common import BENCH, Unavailable, daemon, say
from processes import cpu_seconds, memory, wait_until_idle
from reading import delays

COUNTS = {10: 2, 100: 2, 1000: 3, 5000: 1}  # containers: rounds with so many
RATE = 10  # lines that each writes a second
WATCHED = 3  # seconds
OURS = ("--container", "member-")  # whatever else runs on this host
FOLLOWED = 40  # lines whose delay is taken


def cgroup_mount():
    """Where cgroups of version 2 are, alone or beside those of version 1."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            return pathlib.Path(line.split()[4])
    raise Unavailable("no cgroup2 is mounted")


def remove(cgroup):
    """Once the kernel has left it."""
    def removed():
        try:
            cgroup.rmdir()
        except OSError:
            return False
        return True

    harness.wait_until(removed, f"the end of all processes in {cgroup}")


class Crowd:
    def __init__(self, count, directory):
        self.directory = directory
        self.process = subprocess.Popen([BENCH / "bench_tool", "crowd", str(count), str(RATE), str(directory)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        try:
            if self.process.stdout.readline() != b"ready\n":
                raise Unavailable(f"{count} processes, each with cgroup and pid namespace: the host refuses")
        except BaseException:
            self.close()
            raise

    def begin(self):
        self.process.stdin.write(b"begin\n")

    def end(self):
        """How many lines all have written since begin()."""
        self.process.stdin.write(b"end\n")
        return int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        for cgroup in self.directory.glob("member-[0-9]*"):
            remove(cgroup)


class Probe:
    """One more, that prints what it is given."""

    def __init__(self, directory):
        self.cgroup = directory / "member-probe"
        self.cgroup.mkdir()
        self.words = itertools.count()
        script = f'echo 0 >"{self.cgroup}/cgroup.procs"; exec unshare --pid --fork --kill-child sh -c "$1"'
        self.process = subprocess.Popen(["sh", "-c", script, "sh", 'while read -r l; do echo "$l"; done'],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.drain = subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=subprocess.DEVNULL)
        self.process.stdout.close()

    def delays(self, twinlog):
        """Milliseconds from the write to the line that a follower shows."""
        self.process.stdin.write(b"begun\n")  # its log is made with it
        harness.wait_until((twinlog.directory(self.cgroup.name) / "container.json").exists, "the probe is captured")
        return delays(twinlog.follow(self.cgroup.name), self.process.stdin, self.words, FOLLOWED)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.drain.wait()
        remove(self.cgroup)


def percentile(samples, share):
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


class Samples:
    """Of one number of containers, by what they are."""

    def __init__(self):
        self.taken = {}

    def add(self, what, unit, value):
        self.taken.setdefault((what, unit), []).append(value)

    def cpu(self, pid, what):
        """Watches the daemon for a while; returns seconds."""
        before, begun = cpu_seconds(pid), time.monotonic()
        time.sleep(WATCHED)
        used, elapsed = cpu_seconds(pid) - before, time.monotonic() - begun
        self.add(f"CPU, {what}", "ms/s", 1000 * used / elapsed)
        return used, elapsed

    def delay(self, probe, twinlog, what):
        try:
            taken = probe.delays(twinlog)
        except AssertionError as why:  # of the harness: it does not come
            raise Unavailable(f"write to -f, {what}: {why}") from None
        self.add(f"write to -f, {what}, median", "ms", statistics.median(taken))
        self.add(f"write to -f, {what}, 99 of 100", "ms", percentile(taken, 0.99))


def watch(samples, count, crowd, probe, alone):
    """alone: the memory of a daemon that has only the probe."""
    begun = time.monotonic()
    with daemon(*OURS) as twinlog:
        samples.add("start of the daemon, until all are captured", "ms", 1000 * (time.monotonic() - begun))
        pid = twinlog.process.pid
        wait_until_idle(pid, window=0.5, deadline=30)
        samples.cpu(pid, "idle")
        samples.delay(probe, twinlog, "idle")
        crowd.begin()
        time.sleep(1)  # the first line of each makes its log
        crowd.end()
        crowd.begin()
        used, elapsed = samples.cpu(pid, f"{RATE} lines/s each")
        lines = crowd.end()
        samples.add("containers that were captured", "", len(list((twinlog.store / "containers").iterdir())) - 1)
        samples.add("lines that were written", "1/s", lines / elapsed)
        samples.add("CPU of a line", "us", 1e6 * used / max(1, lines))
        crowd.begin()
        samples.delay(probe, twinlog, f"{RATE} lines/s each")
        crowd.end()
        wait_until_idle(pid, deadline=30)
        own = memory(pid)["RssAnon"]
        samples.add("own memory, a container", "KiB", (own - alone) / 1024 / count)
        samples.add("own memory", "MiB", own / 2**20)
        twinlog.stop()


def measure(bench):
    try:
        mount = cgroup_mount()
    except Unavailable as why:
        bench.figures.absent("scale", "many containers", "twinlog", str(why))
        return
    for count, rounds in list(COUNTS.items())[:2 if bench.small else None]:
        what = f"{count:,} containers"
        samples = Samples()
        with contextlib.ExitStack() as stack:
            directory = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-bench-", dir=mount))
            stack.callback(directory.rmdir)
            try:
                probe = Probe(directory)
                stack.callback(probe.close)
                with daemon(*OURS) as twinlog:
                    wait_until_idle(twinlog.process.pid, window=0.5)
                    alone = memory(twinlog.process.pid)["RssAnon"]
                say(f"scale: making {what}")
                crowd = Crowd(count, directory)
                stack.callback(crowd.close)
                for _ in bench.rounds(f"scale, {what}", rounds):
                    watch(samples, count, crowd, probe, alone)
            except Unavailable as why:
                bench.figures.absent("scale", what, "twinlog", str(why))
        for (title, unit), taken in samples.taken.items():
            bench.figures.fact("scale", f"{what}: {title}", unit, "twinlog", taken)
