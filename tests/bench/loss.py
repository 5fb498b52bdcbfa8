"""Lines that dockerd's own cache keeps when the remote end is dead, and what twinlog keeps of them."""

import contextlib
import socket

import harness
from common import daemon, say
from printer import DockerPrinter, lines_in, wait_until_recorded

LINES = 100_000
SIZE = 501


def closed_port(kind):
    """One of this machine where nobody listens."""
    with contextlib.closing(socket.socket(socket.AF_INET, kind)) as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def options(**values):
    return [word for key, value in values.items() for word in ("--log-opt", f"{key.replace('_', '-')}={value}")]


def cases():
    """name: (driver, options of the container)"""
    udp = f"udp://127.0.0.1:{closed_port(socket.SOCK_DGRAM)}"
    return {
        "fluentd-async, remote dead": (
            "fluentd", options(fluentd_async="true",
                               fluentd_address=f"127.0.0.1:{closed_port(socket.SOCK_STREAM)}")),
        "syslog, non-blocking, remote dead": ("syslog", options(syslog_address=udp, mode="non-blocking")),
        "gelf, remote dead": ("gelf", options(gelf_address=udp)),
    }


def kept(docker, twinlog, driver, how, count):
    """Per cent of the lines, in dockerd's cache and in twinlog's log."""
    printer = DockerPrinter(docker, driver, *how)
    try:
        printer.print(SIZE, 1, count)
        printer.end()
        wait_until_recorded(twinlog, printer.container)
        theirs = lines_in(["docker", "-H", f"unix://{docker.socket}", "logs", printer.container])
        ours = lines_in([harness.TWINLOG, "logs", "--store", twinlog.store, printer.container])
        return 100 * theirs / count, 100 * ours / count
    finally:
        printer.close()


def measure(bench):
    count = bench.scaled(LINES)
    # Each container's log has room for all of it.
    with daemon("--max-size", "-1") as twinlog:
        samples = {}
        for _ in bench.rounds("loss"):
            for name, (driver, how) in cases().items():
                say(f"  {name}")
                samples.setdefault(name, []).append(kept(bench.docker, twinlog, driver, how, count))
    for name, pairs in samples.items():
        bench.figures.compare("loss", f"{count:,} lines of {SIZE} B, {name}: kept", "%",
                              ("dockerd's cache", [pair[0] for pair in pairs]),
                              ("twinlog", [pair[1] for pair in pairs]), higher_is_better=True, panel="loss")
