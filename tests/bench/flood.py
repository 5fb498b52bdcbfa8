"""What `yes` does, under `none`: more than anybody can take."""

import time

from common import daemon
from printer import DockerPrinter, wait_until_recorded
from processes import cpu_seconds, wait_until_idle

SECONDS = 5


def flood(docker, seconds):
    """Figures of one, by name."""
    with daemon() as twinlog:
        printer = DockerPrinter(docker, "none")
        try:
            pid = twinlog.process.pid
            wait_until_idle(pid)
            before, begun = cpu_seconds(pid), time.monotonic()
            lines, writing = printer.print(2, 4096, seconds=seconds)
            printer.end()
            stream = wait_until_recorded(twinlog, printer.container)
            taking = wait_until_idle(pid) - begun
            size = 2 * lines
            gone = stream["lost"] + stream.get("skipped", 0)
            return {("written", "lines/s"): lines / writing,
                    ("kept, a second until all was done", "lines/s"): lines * (1 - gone / size) / taking,
                    ("lost", "%"): 100 * stream["lost"] / size,
                    ("skipped, being older than what a log keeps", "%"): 100 * stream.get("skipped", 0) / size,
                    ("gaps", ""): stream["gaps"],
                    ("CPU of the daemon, of all that was written", "s/GB"): (cpu_seconds(pid) - before) / (size / 1e9)}
        finally:
            printer.close()


def measure(bench):
    seconds = 1 if bench.small else SECONDS
    floods = [flood(bench.docker, seconds) for _ in bench.rounds("flood")]
    for what, unit in floods[0]:
        bench.figures.fact("flood", f"lines of 2 B, {seconds} s: {what}", unit, "none + twinlog",
                           [one[what, unit] for one in floods], higher_is_better=unit == "lines/s")
