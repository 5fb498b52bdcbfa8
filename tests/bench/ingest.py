"""Lines of containers into a log: how many a second, and what each who has a hand in it uses for that.
Nobody's log rotates, and nothing may be lost."""

import concurrent.futures
import contextlib
import dataclasses
import signal
import time

from common import Unavailable, daemon, say, streams
from figures import number
from printer import DockerPrinter, PodmanPrinter, dockerd_pid
from processes import cpu_seconds, wait_until_idle


@dataclasses.dataclass(frozen=True)
class Load:
    """Lines, how many of them a write(2) has, and how many are written in all: a second's work, or more,
    for dockerd."""
    size: int
    block: int
    what: str
    count: int


LOADS = (Load(100, 655, "lines of 100 B, in blocks of 64 KiB", 1_500_000),
         Load(100, 1, "lines of 100 B, one write a line", 750_000),
         Load(16384, 4, "lines of 16 KiB, in blocks of 64 KiB", 15_000),
         Load(2, 32768, "lines of 2 B, in blocks of 64 KiB", 3_000_000))


@dataclasses.dataclass(frozen=True)
class Logger:
    """A log driver, and what twinlog stores beside it, if it runs."""
    name: str
    driver: str
    options: tuple = ()  # of the container
    twinlog: tuple = None  # of twinlog run
    held: bool = False  # twinlog does not run before all is written: what any daemon could get at most


# No rotation with any of them: json-file and podman know none unless they are told.
LOGGERS = (Logger("json-file", "json-file"),
           Logger("local", "local", ("--log-opt", "max-size=100g")),
           Logger("podman k8s-file", "podman"),
           Logger("none", "none"),
           Logger("none + twinlog local", "none", (), ("--max-size", "-1")),
           Logger("none + twinlog json-file", "none", (), ("--max-size", "-1", "--format", "json-file")),
           Logger("none + records for a daemon that takes no time", "none", (),
                  ("--max-size", "-1", "--ring-size", "512m"), held=True))
HELD = {logger.name for logger in LOGGERS if logger.held}
FEW = tuple(logger for logger in LOGGERS if logger.name in ("json-file", "none + twinlog local"))


@dataclasses.dataclass
class Result:
    lines_per_second: float  # until all is in the log
    written_per_second: float
    cpu: dict  # s/GB, of twinlog, dockerd and those that read the pipes
    missing: int  # bytes

    def logger_cpu(self):
        """Of who writes the log. conmon is reader and logger in one."""
        return self.cpu.get("twinlog", self.cpu.get("dockerd", self.cpu["shims"]))


class Containers:
    """Of each driver as many as are asked for; they live on for the next question."""

    def __init__(self, docker, stack):
        self.docker, self.stack = docker, stack
        self.of_driver = {}

    def get(self, logger, count):
        ready = self.of_driver.setdefault(logger.driver, [])
        lacking = range(count - len(ready))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for printer in pool.map(lambda _: self.make(logger), lacking):
                self.stack.callback(printer.close)
                printer.pid = printer.shim()
                ready.append(printer)
        return ready[:count]

    def make(self, logger):
        if logger.driver == "podman":
            return PodmanPrinter(self.docker)
        return DockerPrinter(self.docker, logger.driver, *logger.options)


def run(logger, load, printers, dockerd, scaled):
    with contextlib.ExitStack() as stack:
        watched = {"shims": [printer.pid for printer in printers]}
        if logger.driver != "podman":
            watched["dockerd"] = [dockerd]
        twinlog = None
        if logger.twinlog is not None:
            # Whatever else runs on this host is not counted.
            ours = [word for printer in printers for word in ("--container", printer.container)]
            twinlog = stack.enter_context(daemon(*logger.twinlog, *ours))
            watched["twinlog"] = [twinlog.process.pid]
        # Not all the shims: looking at a hundred would be work beside the work.
        waited_for = [pids[0] for pids in watched.values()]
        wait_until_idle(*waited_for)
        before = {who: sum(map(cpu_seconds, pids)) for who, pids in watched.items()}
        count = scaled(load.count) // len(printers)
        if logger.held:
            twinlog.process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        for printer in printers:
            printer.order(load.size, min(load.block, count), count)
        lines = sum(printer.report()[0] for printer in printers)
        written = time.monotonic()
        if logger.held:
            twinlog.process.send_signal(signal.SIGCONT)
        done = max(written, wait_until_idle(*waited_for))
        if logger.held:
            done = written
        size = lines * load.size
        cpu = {who: (sum(map(cpu_seconds, pids)) - before[who]) / (size / 1e9) for who, pids in watched.items()}
        missing = 0
        if twinlog:
            twinlog.stop()
            kept = sum(stream["bytes"] - stream["lost"] - stream.get("skipped", 0) for stream in streams(twinlog))
            missing = size - kept
        for printer in printers:
            printer.empty_log()
        return Result(lines / (done - begun), lines / (written - begun), cpu, missing)


def panels_of(title):
    """Where the summary has the rate and the time of the processor."""
    if not title.startswith("1 container, lines of 100 B"):
        return None, None
    kind = "blocks" if "blocks" in title else "lines"
    return f"ingest, {kind}", f"cpu, {kind}"


def report(figures, title, results, missing):
    rate_panel, cpu_panel = panels_of(title)

    def compare(what, unit, value, name, other="json-file", **more):
        figures.compare("ingest", f"{title}: {what}", unit, (other, [value(one) for one in results[other]]),
                        (name, [value(one) for one in results[name]]), **more)

    for name, taken in results.items():
        if name in ("json-file", "none"):
            continue
        compare("to the log", "lines/s", lambda one: one.lines_per_second, name, higher_is_better=True,
                panel=None if name in HELD else rate_panel)
        if name in HELD:
            continue
        compare("CPU of the logger", "s/GB", Result.logger_cpu, name, panel=cpu_panel)
        compare("CPU of all, shims too", "s/GB", lambda one: sum(one.cpu.values()), name)
        if "twinlog" not in name:
            continue
        if "none" in results:
            compare("pace of the writer", "lines/s", lambda one: one.written_per_second, name, "none",
                    higher_is_better=True)
            compare("CPU of dockerd and shim", "s/GB", lambda one: one.cpu["dockerd"] + one.cpu["shims"], name, "none")
        figures.fact("ingest", f"{title}: bytes missing", "B", name, [one.missing for one in taken])
    for name, why in missing.items():
        figures.absent("ingest", title, name, why)


def measure(bench):
    many, crowd = (2, 5) if bench.small else (10, 100)
    questions = [(load, LOGGERS, 1) for load in LOADS]
    questions += [(LOADS[0], FEW, count) for count in (many, crowd)]
    missing = {}
    with contextlib.ExitStack() as stack:
        containers = Containers(bench.docker, stack)
        dockerd = dockerd_pid(bench.docker)
        for load, loggers, count in questions:
            title = f"{count} container{'s' if count > 1 else ''}, {load.what}"
            results = {}
            for _ in bench.rounds(f"ingest, {title}"):
                for logger in loggers:
                    if logger.name in missing:
                        continue
                    try:
                        printers = containers.get(logger, count)
                    except Unavailable as why:
                        say(f"  {logger.name}: {why}")
                        missing[logger.name] = str(why)
                        continue
                    one = run(logger, load, printers, dockerd, bench.scaled)
                    results.setdefault(logger.name, []).append(one)
            say("  " + ", ".join(f"{name} {number(taken[-1].lines_per_second)} lines/s"
                                 for name, taken in results.items()))
            report(bench.figures, title, results, missing if loggers is LOGGERS else {})
