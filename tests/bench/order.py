"""How often lines of concurrent writers stand elsewhere in the log than the pipe's reader had them."""

import itertools
import pathlib
import subprocess
import tempfile

import harness

# Writers, lines of each in one round, bytes of a line. A round fits into the ring.
MIXES = ((2, 500_000, 60), (8, 125_000, 60), (64, 15_625, 60), (64, 20, 65536))
RING = "1g"
MOST = 3  # rounds: a million lines each


class Round:
    """Writers of one pipe whose reader keeps what it reads."""

    def __init__(self, writers, lines, size):
        with tempfile.TemporaryDirectory(prefix="twinlog-order-") as directory:
            read = pathlib.Path(directory) / "read"
            with open(read, "wb") as kept:
                # The gate lets the daemon come first: the writers keep the shell's pid and stdout.
                gated = subprocess.Popen(
                    ["sh", "-c", 'read -r _; exec "$@"', "sh", harness.TOOLS / "writer", "many",
                     str(writers), str(lines), str(size)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                reader = subprocess.Popen(["dd", "bs=32k", "status=none"], stdin=gated.stdout,
                                          stdout=kept)
                gated.stdout.close()
                twinlog = harness.Twinlog("--pid", gated.pid, "--ring-size", RING, "--max-size", "2g")
                try:
                    gated.stdin.write(b"go\n")
                    gated.stdin.close()
                    if gated.wait() or reader.wait():
                        raise RuntimeError(f"writers ended with {gated.wait()}, dd with {reader.wait()}")
                    twinlog.stop()
                    (info,) = (twinlog.store / "containers").iterdir()
                    self.lost = twinlog.info(info.name)["streams"]["stdout"]["lost"]
                    logged = pathlib.Path(directory) / "logged"
                    with open(logged, "wb") as file:
                        subprocess.run([harness.TWINLOG, "logs", "--store", twinlog.store, "-o", "raw",
                                        info.name], stdout=file, check=True)
                finally:
                    twinlog.close()
            self.lines = writers * lines
            self.moved = moved_lines(read, logged)


def moved_lines(expected, found):
    """Lines of one file that the other has at another place, or not at all."""
    with open(expected, "rb") as one, open(found, "rb") as other:
        return sum(ours != theirs for ours, theirs in itertools.zip_longest(one, other))


def measure(bench):
    for writers, lines, size in MIXES:
        what = f"{writers} writers, lines of {size} B"
        rounds = [Round(writers, bench.scaled(lines), size) for _ in bench.rounds(f"order, {what}", MOST)]
        for title, unit, values in (("written in all", "lines", [one.lines for one in rounds]),
                                    ("elsewhere than their reader had them", "lines", [one.moved for one in rounds]),
                                    ("lost", "B", [one.lost for one in rounds])):
            bench.figures.fact("order", f"{what}: {title}", unit, "twinlog", [sum(values)])
