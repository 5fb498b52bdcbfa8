"""Measures what twinlog costs and what it gets through, each figure beside what it is compared with,
in turns, in the same run: the machines are noisy, ratios less so. Nothing is asserted. scripts/bench
builds what this needs and runs it."""

import argparse
import concurrent.futures
import contextlib
import functools
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import harness  # noqa: E402
from figures import Figures, number  # noqa: E402
from order import measure_order  # noqa: E402
from processes import cpu_seconds, memory, parent, wait_until_idle  # noqa: E402

BENCH = pathlib.Path(os.environ.get("BENCH", str(harness.ROOT / "build/release/tests/bench")))

# System calls a question: enough to take some 0.1 s, and all of it fits into the ring.
CALLS = {1: 100_000, 100: 100_000, 4096: 20_000, 65536: 2_000}
LINE = 100
IDLE = 5  # seconds
FLUENTD = ("--log-opt", "fluentd-async=true", "--log-opt", "fluentd-address=127.0.0.1:1")


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- Cost of a system call ----------------------------------------------------------------------

class Calls:
    """A process that times system calls of its own when asked."""

    def __init__(self):
        questions, self.questions = os.pipe()
        self.answers, answers = os.pipe()
        self.process = subprocess.Popen(
            [BENCH / "bench_tool", "calls", str(questions), str(answers)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(questions, answers))
        os.close(questions)
        os.close(answers)
        self.reader = os.fdopen(self.answers, "r")

    def ns(self, kind, size=1, count=100_000):
        """Time of one call: on the clock where it may have to wait for another, else the
        processor's, which knows nothing of what else the machine does."""
        os.write(self.questions, f"{kind} {size} {count}\n".encode())
        answer = self.reader.readline()
        if not answer:
            raise RuntimeError(f"bench_tool ended with {self.process.wait()}")
        wall, cpu = map(int, answer.split())
        return (wall if kind == "drained" else cpu) / count

    def close(self):
        os.close(self.questions)
        self.process.wait()
        self.reader.close()


@contextlib.contextmanager
def nothing():
    yield None


@contextlib.contextmanager
def empty_program():
    process = subprocess.Popen([BENCH / "attach", BENCH / "empty.bpf.o"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    try:
        if process.stdout.readline() != b"attached\n":
            raise RuntimeError(f"attach ended with {process.wait()}")
        yield process
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def daemon(*options):
    twinlog = harness.Twinlog(*options)
    try:
        yield twinlog
    finally:
        twinlog.close()


def lost_bytes(twinlog):
    """Of all that was ever captured into the store."""
    lost = 0
    for path in (twinlog.store / "containers").glob("*/container.json"):
        streams = json.loads(path.read_text())["streams"]
        lost += sum(stream["lost"] for stream in streams.values())
    return lost


# Room for what one question writes and another reads. Each page of a ring costs whoever is the first to
# touch it some 12 us on a virtual machine with shadow page tables: that is over before the clocks run.
CALLS_RING = 256 << 20


def touch_ring(process, twinlog):
    """Once round the ring."""
    block = max(CALLS)
    for _ in range(5):
        process.ns("alone", block, CALLS_RING // block // 4)
        wait_until_idle(twinlog.process.pid)


WRITES = {"drained": "write of {} B, to a pipe that another drains",
          "alone": "write of {} B, the call alone",
          "spliced": "write of {} B, the call alone, its reader cannot be seen",
          "taken": "read of {} B, the call alone"}


def measure_calls(figures, repeats):
    """A traced writer, its reader, and bystanders that nobody traces, with and without the daemon."""
    traced, bystander = Calls(), Calls()
    questions = [(kind, size) for kind in WRITES for size in CALLS]
    samples, lost, daemon_cpu = {}, [], {}

    def take(state, process, kind, size, count):
        samples.setdefault((state, kind, size), []).append(process.ns(kind, size, count))

    def take_bystander(state):
        take(state, bystander, "getppid", 1, 1_000_000)
        take(state, bystander, "null", 1, 1_000_000)

    for i in range(repeats):
        say(f"system calls: {i + 1} of {repeats}")
        for kind, size in questions:
            traced.ns(kind, size, CALLS[size] // 10)
            take("nothing", traced, kind, size, CALLS[size])
        take_bystander("nothing")
        with empty_program():
            take_bystander("empty program")
        with daemon("--pid", traced.process.pid, "--ring-size", CALLS_RING) as twinlog:
            pid = twinlog.process.pid
            touch_ring(traced, twinlog)
            for kind, size in questions:
                traced.ns(kind, size, CALLS[size] // 10)
                wait_until_idle(pid)
                before = cpu_seconds(pid)
                take("twinlog", traced, kind, size, CALLS[size])
                wait_until_idle(pid)
                daemon_cpu.setdefault((kind, size), []).append(
                    (cpu_seconds(pid) - before) / (size * CALLS[size] / 1e9))
            take_bystander("twinlog")
            twinlog.stop()
            lost.append(lost_bytes(twinlog))
    traced.close()
    bystander.close()

    for kind, size in questions:
        figures.compare("reader" if kind == "taken" else "writer", WRITES[kind].format(size), "ns",
                        ("nothing", samples["nothing", kind, size]),
                        ("twinlog", samples["twinlog", kind, size]))
    for size in CALLS:
        figures.compare("read side", f"writes of {size} B: CPU of the daemon", "s/GB",
                        ("reader unseen", daemon_cpu["spliced", size]),
                        ("reader seen", daemon_cpu["alone", size]))
    figures.fact("writer", "bytes lost while measuring", "B", "twinlog", lost)
    for kind, what in (("getppid", "getppid"), ("null", "write of 1 B to /dev/null")):
        for base, ours in (("nothing", "twinlog"), ("nothing", "empty program"),
                           ("empty program", "twinlog")):
            figures.compare("bystander", what, "ns", (base, samples[base, kind, 1]),
                            (ours, samples[ours, kind, 1]))


# ---- Containers that print ----------------------------------------------------------------------

class Printer:
    """A container that prints lines (lines.c) when told to, and that stays until it is told."""

    def __init__(self, docker, driver, size, block, count=0, seconds=0, rate=0, options=()):
        self.docker = docker
        self.size = size
        self.directory = tempfile.TemporaryDirectory(prefix="twinlog-bench-")
        self.path = pathlib.Path(self.directory.name)
        for fifo in ("begin", "end"):
            os.mkfifo(self.path / fifo)
        self.container = docker.start(
            "/bench/bench_tool", "lines", size, block, count, seconds, rate, "/report",
            driver=driver, options=("-v", f"{BENCH}:/bench:ro", "-v", f"{self.path}:/report",
                                    *options))

    def tell(self, fifo):
        with open(self.path / fifo, "w"):
            pass

    def print(self):
        """Lines and seconds, once all of them are written."""
        self.tell("begin")
        report = self.path / "report"
        while not report.exists():
            time.sleep(0.005)
        lines, ns = map(int, report.read_text().split())
        return lines, ns / 1e9

    def shim(self):
        pid = int(self.docker("inspect", "-f", "{{.State.Pid}}", self.container).stdout)
        return parent(pid)

    def end(self):
        self.tell("end")
        self.docker.wait(self.container, timeout=300)

    def close(self):
        self.docker("rm", "-f", self.container, timeout=120)
        self.directory.cleanup()


def wait_until_recorded(twinlog, container):
    deadline = time.monotonic() + harness.DEADLINE
    while twinlog.info(container)["state"] != "ended":
        if time.monotonic() > deadline:
            raise RuntimeError(twinlog.state(container))
        time.sleep(0.02)
    return twinlog.info(container)["streams"]["stdout"]


def dockerd_pid(docker):
    return int((docker.directory / "pid").read_text())


class Ingest:
    """One container's lines, and what they cost whom."""

    def __init__(self, docker, twinlog, driver, **lines):
        watched = {"dockerd": dockerd_pid(docker)}
        if twinlog:
            watched["twinlog"] = twinlog.process.pid
        printer = Printer(docker, driver, **lines)
        try:
            watched["shim"] = printer.shim()
            for pid in watched.values():
                wait_until_idle(pid)
            before = {who: cpu_seconds(pid) for who, pid in watched.items()}
            begun = time.monotonic()
            self.lines, self.seconds = printer.print()
            idle_since = [wait_until_idle(pid) for pid in watched.values()]
            self.seconds_in_all = max(self.seconds, max(idle_since) - begun)
            gigabytes = self.lines * printer.size / 1e9
            self.cpu_per_gb = {who: (cpu_seconds(pid) - before[who]) / gigabytes
                               for who, pid in watched.items()}
            printer.end()
            if twinlog:
                streams = wait_until_recorded(twinlog, printer.container)
                self.lost, self.gaps, self.bytes = (streams[k] for k in ("lost", "gaps", "bytes"))
        finally:
            printer.close()

    def kept_per_second(self):
        """Lines that came through, over the time until all were in the log."""
        return self.lines * (1 - self.lost / self.bytes) / self.seconds_in_all


def measure_ingest(figures, repeats, docker):
    for how, block, count in (("in blocks of 64 KiB", 65536 // LINE, 1_500_000),
                              ("one write a line", 1, 500_000)):
        json_file, none, sustained, beside, none_beside = [], [], [], [], []
        rate = 0
        say(f"ingest, {how}: flood")
        with daemon() as twinlog:
            # How much gets through when more comes than can: where the search for the rate begins.
            kept = [Ingest(docker, twinlog, "none", size=LINE, block=block, seconds=2)
                    for _ in range(3)]
            for flood in kept:
                if flood.lost:
                    rate = max(rate, flood.kept_per_second())
        for i in range(repeats):
            say(f"ingest, {how}: {i + 1} of {repeats}")
            json_file.append(Ingest(docker, None, "json-file", size=LINE, block=block, count=count))
            none.append(Ingest(docker, None, "none", size=LINE, block=block, count=count))
            with daemon() as twinlog:
                one = Ingest(docker, twinlog, "none", size=LINE, block=block, seconds=3, rate=rate)
            say(f"  json-file {json_file[-1].lines / json_file[-1].seconds:,.0f} lines/s, twinlog "
                f"{one.lines / one.seconds:,.0f} of {rate:,.0f} asked, lost {one.lost} bytes")
            if one.lost:
                rate = 0.85 * (rate or one.kept_per_second())
                continue
            sustained.append(one)
            beside.append(json_file[-1])
            none_beside.append(none[-1])
            rate *= 1.1
        figures.compare("ingest", f"lines of {LINE} B, {how}: without a gap", "lines/s",
                        ("json-file", [one.lines / one.seconds for one in beside]),
                        ("none + twinlog", [one.lines / one.seconds_in_all for one in sustained]),
                        higher_is_better=True)
        figures.compare("ingest", f"{how}: pace of the writer",
                        "lines/s", ("none", [one.lines / one.seconds for one in none_beside]),
                        ("none + twinlog", [one.lines / one.seconds for one in sustained]),
                        higher_is_better=True)
        figures.fact("ingest", f"{how}: kept of a flood", "lines/s", "none + twinlog",
                     [one.kept_per_second() for one in kept], higher_is_better=True)
        figures.fact("ingest", f"{how}: lost of a flood", "%", "none + twinlog",
                     [100 * one.lost / one.bytes for one in kept])
        figures.compare("ingest", f"{how}: CPU of the logger", "s/GB",
                        ("json-file: dockerd", [one.cpu_per_gb["dockerd"] for one in beside]),
                        ("twinlog", [one.cpu_per_gb["twinlog"] for one in sustained]))
        for name, samples in (("json-file", json_file), ("none", none),
                              ("none + twinlog", sustained)):
            figures.fact("ingest", f"{how}: CPU of dockerd and shim", "s/GB", name,
                         [one.cpu_per_gb["dockerd"] + one.cpu_per_gb["shim"] for one in samples])


def measure_flood(figures, repeats, docker):
    """What `yes` does, under `none`: more than anybody can take."""
    floods = []
    for i in range(repeats):
        say(f"flood: {i + 1} of {repeats}")
        with daemon() as twinlog:
            floods.append(Ingest(docker, twinlog, "none", size=2, block=4096, seconds=10))
    for what, unit, value in (
            ("written", "lines/s", lambda one: one.lines / one.seconds),
            ("kept", "lines/s", Ingest.kept_per_second),
            ("lost", "%", lambda one: 100 * one.lost / one.bytes),
            ("gaps", "", lambda one: one.gaps),
            ("CPU of the daemon, of all that was written", "s/GB",
             lambda one: one.cpu_per_gb["twinlog"])):
        figures.fact("flood", f"lines of 2 B, 10 s: {what}", unit, "none + twinlog",
                     [value(one) for one in floods], higher_is_better=unit == "lines/s")


# ---- Loss ---------------------------------------------------------------------------------------

def measure_loss(figures, repeats, docker):
    docker_kept, ours_kept = [], []
    count = 100_000
    with daemon() as twinlog:
        for i in range(repeats):
            say(f"loss: {i + 1} of {repeats}")
            printer = Printer(docker, "fluentd", 501, 1, count=count, options=FLUENTD)
            printer.print()
            printer.end()
            wait_until_recorded(twinlog, printer.container)
            docker_kept.append(100 * docker.logs(printer.container)[0].count(b"\n") / count)
            ours_kept.append(100 * twinlog.logs(printer.container)[0].count(b"\n") / count)
            printer.close()
    figures.compare("loss", "100,000 lines of 501 B, fluentd-async, remote dead: kept", "%",
                    ("dockerd's cache", docker_kept), ("twinlog", ours_kept),
                    higher_is_better=True)


# ---- Reading ------------------------------------------------------------------------------------

def seconds_of(*argv):
    begun = time.monotonic()
    subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True)
    return time.monotonic() - begun


def interleaved(repeats, *commands):
    """Seconds of each command, in turns."""
    samples = [[] for _ in commands]
    for _ in range(repeats):
        for taken, command in zip(samples, commands):
            taken.append(seconds_of(*command))
    return samples


def measure_reading(figures, repeats, docker, size):
    """The same lines as dockerd and twinlog keep them, each in one file."""
    count = size // LINE
    with daemon("--max-size", "-1") as twinlog:
        for driver in ("json-file", "local"):
            say(f"reading, {driver}: writing {number(count)} lines")
            # At a pace that leaves no gaps: what is read must be the same.
            printer = Printer(docker, driver, LINE, 100, count=count, rate=200_000,
                              options=("--log-opt", "max-size=100g"))
            printer.print()
            printer.end()
            lost = wait_until_recorded(twinlog, printer.container)["lost"]
            if lost:
                say(f"  {lost} bytes were lost: the figures compare different things")
            theirs = ["docker", "-H", f"unix://{docker.socket}", "logs"]
            ours = [harness.TWINLOG, "logs", "--store", twinlog.store]
            # Not more often than it takes to see the spread: dockerd needs a minute for a GB.
            for what, options, times in (("all", (), min(repeats, 3)), ("all, -t", ("-t",), min(repeats, 3)),
                                         ("--tail 100", ("--tail", "100"), repeats),
                                         ("--since the last 1000", None, repeats)):
                if options is None:
                    last = twinlog("logs", "-t", "-n", "1000", printer.container).stdout
                    options = ("--since", last.split(maxsplit=1)[0].decode())
                say(f"reading, {driver}, {what}")
                base, mine = interleaved(times, [*theirs, *options, printer.container],
                                         [*ours, *options, printer.container])
                figures.compare("reading", f"{number(count)} lines of {LINE} B, {what}", "s",
                                (f"docker logs, {driver}", base), ("twinlog logs", mine))
            measure_bytes(figures, docker, twinlog, printer.container, driver, count)
            printer.close()
        measure_follow(figures, repeats, docker, twinlog)


def measure_bytes(figures, docker, twinlog, container, driver, count):
    """What a line takes on disk, in each format."""
    theirs = docker.container_directory(container)
    theirs /= "local-logs/container.log" if driver == "local" else f"{container}-json.log"
    figures.fact("reading", f"a line of {LINE} B, in dockerd's file", "B", driver,
                 [theirs.stat().st_size / count])
    ours = twinlog.directory(container) / "container-cached.log"
    with tempfile.TemporaryDirectory(prefix="twinlog-bench-") as directory:
        sizes = {"twinlog": ours.stat().st_size}
        for name in ("json-file", "cri", "raw"):
            copy = pathlib.Path(directory) / name
            harness.run(harness.TWINLOG, "convert", "--from", "local", "--to", name, "--stream", "stdout",
                        ours, copy, timeout=600)
            sizes[name + " of twinlog"] = copy.stat().st_size
            copy.unlink()
        packed = subprocess.run(["gzip", "-c", str(ours)], stdout=subprocess.PIPE, check=True).stdout
        sizes["twinlog, compressed"] = len(packed)
    for name, size in sizes.items():
        figures.fact("reading", f"a line of {LINE} B, on disk", "B", name, [size / count])


def measure_follow(figures, repeats, docker, twinlog):
    """From a container's write until a follower shows it."""
    with tempfile.TemporaryDirectory(prefix="twinlog-bench-") as directory:
        fifo = pathlib.Path(directory) / "fifo"
        os.mkfifo(fifo)
        container = docker.start("sh", "-c", "exec 3<>/fifo/fifo; echo begun; while read l <&3; do echo $l; done",
                                 options=("-v", f"{directory}:/fifo"))
        with open(fifo, "r+b", buffering=0) as end:
            samples = []
            for follower in (docker.popen("logs", "-f", container, stdout=subprocess.PIPE),
                             twinlog.follow(container)):
                say("reading, follow")
                while harness.read_line(follower.stdout) != b"begun\n":
                    pass
                taken = []
                for i in range(20 * repeats):
                    begun = time.monotonic()
                    end.write(b"%d\n" % i)
                    while harness.read_line(follower.stdout) != b"%d\n" % i:
                        pass
                    taken.append(1000 * (time.monotonic() - begun))
                follower.kill()
                follower.communicate()
                samples.append(taken)
            figures.compare("reading", "-f: from the write to the line", "ms", ("docker logs -f", samples[0]),
                            ("twinlog logs -f", samples[1]))
        docker("rm", "-f", container)


# ---- Memory -------------------------------------------------------------------------------------

def measure_memory(figures, repeats, docker):
    del repeats  # memory is not noisy, and this takes long
    with daemon() as twinlog:
        started = []

        def start(_):
            return docker.start("sleep", "1000000", driver="none")

        for count in (1, 100):
            say(f"memory: {count} containers")
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                started += pool.map(start, range(count - len(started)))
            wait_until_idle(twinlog.process.pid, window=1, deadline=10)
            used = memory(twinlog.process.pid)
            before = cpu_seconds(twinlog.process.pid)
            time.sleep(IDLE)
            idle = (cpu_seconds(twinlog.process.pid) - before) / IDLE
            for what, key in (("own memory", "RssAnon"), ("BPF maps", "maps"),
                              ("RSS, which counts the mapped ring twice", "VmRSS")):
                figures.fact("memory", f"{count} containers: {what}", "MiB", "twinlog",
                             [used[key] / 2**20])
            figures.fact("memory", f"{count} containers: CPU while nothing happens", "ms/s", "twinlog",
                         [1000 * idle])
        docker("rm", "-f", *started, timeout=300)


# ---- All of it ----------------------------------------------------------------------------------

ALONE = {"calls": measure_calls,
         "order": lambda figures, repeats: measure_order(figures, repeats, say)}
WITH_DOCKER = {"ingest": measure_ingest, "flood": measure_flood, "loss": measure_loss,
               "reading": measure_reading, "memory": measure_memory}


def others_watching():
    """BPF programs that were there before us: whatever watches system calls is in all figures."""
    listed = subprocess.run(["bpftool", "--json", "prog", "show"], capture_output=True, check=False)
    programs = json.loads(listed.stdout or "[]") if listed.returncode == 0 else []
    return sorted({program.get("name", "") for program in programs
                   if program["type"] in ("tracing", "tracepoint", "raw_tracepoint", "kprobe")})


def about():
    """Where the figures come from."""
    commit = subprocess.run(["git", "-C", str(harness.ROOT), "describe", "--always", "--dirty"],
                            capture_output=True, text=True, check=False).stdout.strip()
    dockerd = subprocess.run(["dockerd", "--version"], capture_output=True, text=True,
                             check=False).stdout.strip()
    return {"kernel": platform.release(), "processors": os.cpu_count(), "commit": commit,
            "dockerd": dockerd, "load": os.getloadavg()[0], "time": time.strftime("%F %T %z"),
            "others watching": " ".join(others_watching()) or "none"}


def main():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    sections = [*ALONE, *WITH_DOCKER]
    parser.add_argument("sections", nargs="*", metavar="SECTION",
                        help=f"only these: {', '.join(sections)}")
    parser.add_argument("--repeats", type=int, default=7, help="default: 7")
    parser.add_argument("--json", metavar="FILE", help="write all samples there")
    parser.add_argument("--small", action="store_true",
                        help="read logs of 50 MB, not of 1 GB: to see that it works")
    arguments = parser.parse_args()
    chosen = arguments.sections or sections
    unknown = [name for name in chosen if name not in sections]
    if unknown:
        parser.error(f"no such section: {', '.join(unknown)}; there are {', '.join(sections)}")
    if os.geteuid() != 0:
        parser.error("must be run as root")

    figures, facts = Figures(), about()
    measures = dict(WITH_DOCKER)
    measures["reading"] = functools.partial(measure_reading, size=50_000_000 if arguments.small else 10**9)
    for name in chosen:
        if name in ALONE:
            ALONE[name](figures, arguments.repeats)
    with_docker = [name for name in chosen if name in WITH_DOCKER]
    if with_docker:
        docker = harness.Dockerd()
        try:
            for name in with_docker:
                measures[name](figures, arguments.repeats, docker)
        finally:
            docker.stop()
    print("; ".join(f"{key} {value}" for key, value in facts.items()))
    print(figures.table())
    if arguments.json:
        figures.save(arguments.json, facts)


if __name__ == "__main__":
    main()
