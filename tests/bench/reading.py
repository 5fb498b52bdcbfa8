"""`docker logs` and `twinlog logs`, of the same lines."""

import itertools
import os
import pathlib
import subprocess
import tempfile
import time

import harness
from common import daemon, say
from figures import number
from printer import DockerPrinter, wait_until_recorded

LINE = 100
LINES = 2_000_000


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


def measure(bench):
    """As dockerd and twinlog keep them, each in one file."""
    with daemon("--max-size", "-1") as twinlog:
        for driver in ("json-file", "local"):
            compare(bench, twinlog, driver, LINES)
        measure_follow(bench, twinlog)


def compare(bench, twinlog, driver, lines):
    docker, count = bench.docker, bench.scaled(lines)
    say(f"reading, {driver}: writing {number(count)} lines")
    printer = DockerPrinter(docker, driver, "--log-opt", "max-size=100g")
    # At a pace that leaves no gaps: what is read must be the same.
    printer.print(LINE, 100, count, rate=200_000)
    printer.end()
    lost = wait_until_recorded(twinlog, printer.container)["lost"]
    if lost:
        say(f"  {lost} bytes were lost: the figures compare different things")
    theirs = ["docker", "-H", f"unix://{docker.socket}", "logs"]
    ours = [harness.TWINLOG, "logs", "--store", twinlog.store]
    last = twinlog("logs", "-t", "-n", "1000", printer.container).stdout
    since = last.split(maxsplit=1)[0].decode()
    for what, options in (("all", ()), ("all, -t", ("-t",)), ("--tail 100", ("--tail", "100")),
                          ("--since the last 1000", ("--since", since))):
        say(f"reading, {driver}, {what}")
        base, mine = interleaved(bench.repeats, [*theirs, *options, printer.container],
                                 [*ours, *options, printer.container])
        bench.figures.compare("reading", f"{number(count)} lines of {LINE} B, {what}", "s",
                              (f"docker logs, {driver}", base), ("twinlog logs", mine),
                              panel=f"reading, {what}" if what in ("all", "--tail 100") else None)
    measure_bytes(bench.figures, twinlog, printer, driver, count)
    printer.close()


def measure_bytes(figures, twinlog, printer, driver, count):
    """What a line takes on disk, in each format."""
    [theirs] = printer.logs()
    figures.fact("reading", f"a line of {LINE} B, in dockerd's file", "B", driver, [theirs.stat().st_size / count])
    if driver != "local":
        return  # ours is the same beside any driver
    ours = twinlog.directory(printer.container) / "container-cached.log"
    sizes = {"twinlog": ours.stat().st_size}
    with tempfile.TemporaryDirectory(prefix="twinlog-bench-") as directory:
        for name in ("json-file", "cri", "raw"):
            copy = pathlib.Path(directory) / name
            harness.run(harness.TWINLOG, "convert", "--from", "local", "--to", name, "--stream", "stdout", ours, copy,
                        timeout=600)
            sizes[name + " of twinlog"] = copy.stat().st_size
            copy.unlink()
    packed = subprocess.run(["gzip", "-c", str(ours)], stdout=subprocess.PIPE, check=True).stdout
    sizes["twinlog, compressed"] = len(packed)
    for name, size in sizes.items():
        figures.fact("reading", f"a line of {LINE} B, on disk", "B", name, [size / count])


def measure_follow(bench, twinlog):
    """From a container's write until a follower shows it."""
    docker = bench.docker
    with tempfile.TemporaryDirectory(prefix="twinlog-bench-") as directory:
        fifo = pathlib.Path(directory) / "fifo"
        os.mkfifo(fifo)
        container = docker.start("sh", "-c", "exec 3<>/fifo/fifo; echo begun; while read l <&3; do echo $l; done",
                                 options=("-v", f"{directory}:/fifo"))
        words = itertools.count()
        followers = {"docker logs -f": lambda: docker.popen("logs", "-f", container, stdout=subprocess.PIPE),
                     "twinlog logs -f": lambda: twinlog.follow(container)}
        samples = {name: [] for name in followers}
        with open(fifo, "r+b", buffering=0) as end:
            for _ in bench.rounds("reading, follow"):
                for name, follow in followers.items():
                    samples[name] += delays(follow(), end, words, 20)
        bench.figures.compare("reading", "-f: from the write to the line", "ms", *samples.items())
        docker("rm", "-f", container)


def delays(follower, end, words, count):
    """Milliseconds from a word that somebody is to print until a follower shows it; ends the follower.
    words: never the same one, as a follower begins with what others have asked for. The first tells
    that it follows."""
    taken = []
    for word in itertools.islice(words, count + 1):
        begun = time.monotonic()
        end.write(b"%d\n" % word)
        while harness.read_line(follower.stdout) != b"%d\n" % word:
            pass
        taken.append(1000 * (time.monotonic() - begun))
    follower.kill()
    follower.communicate()
    return taken[1:]
