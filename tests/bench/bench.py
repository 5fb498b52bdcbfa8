"""Measures what twinlog costs and what it gets through, each figure beside what it is compared with,
in turns, in the same run: the machines are noisy, ratios less so. Nothing is asserted. scripts/bench
builds what this needs and runs it."""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import bystander  # noqa: E402
import calls  # noqa: E402
import flood  # noqa: E402
import gigabyte  # noqa: E402
import harness  # noqa: E402
import ingest  # noqa: E402
import limit  # noqa: E402
import loss  # noqa: E402
import memory  # noqa: E402
import order  # noqa: E402
import reading  # noqa: E402
import scale  # noqa: E402
import summary  # noqa: E402
from common import Bench, say  # noqa: E402
from figures import Figures  # noqa: E402

# Those that need no dockerd first: beside one the machine is less quiet.
SECTIONS = {"calls": calls, "bystander": bystander, "limit": limit, "order": order, "scale": scale,
            "ingest": ingest, "flood": flood, "loss": loss, "reading": reading, "memory": memory}
# And what is measured only when it is asked for: it takes as long as half of the others together.
ALL = SECTIONS | {"gigabyte": gigabyte}


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


def arguments_of(argv):
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"only these, of {', '.join(ALL)}")
    parser.add_argument("--repeats", type=int, default=7, help="default: 7")
    parser.add_argument("--json", metavar="FILE", help="write all samples there")
    parser.add_argument("--from", metavar="FILE", dest="saved", help="measure nothing, show what --json has written")
    parser.add_argument("--picture", metavar="FILE", help="write the most important figures there, as SVG")
    parser.add_argument("--markdown", metavar="FILE", help="write a short table there")
    parser.add_argument("--small", action="store_true", help="a tenth of everything: to see that it works")
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.sections if name not in ALL]
    if unknown:
        parser.error(f"no such section: {', '.join(unknown)}; there are {', '.join(ALL)}")
    if arguments.repeats < 1:
        parser.error("--repeats must be 1 or more")
    if not arguments.saved and os.geteuid() != 0:
        parser.error("must be run as root")
    return arguments


def measured(arguments):
    figures, facts = Figures(), about()
    bench = Bench(figures, arguments.repeats, arguments.small)
    took = {}
    try:
        for name in arguments.sections or SECTIONS:
            begun = time.monotonic()
            ALL[name].measure(bench)
            took[name] = round(time.monotonic() - begun)
            say(f"{name} took {took[name]} s")
    finally:
        bench.close()
    facts["seconds"] = " ".join(f"{name} {seconds}" for name, seconds in took.items())
    return figures, facts


def main():
    arguments = arguments_of(sys.argv[1:])
    figures, facts = Figures.load(arguments.saved) if arguments.saved else measured(arguments)
    print("; ".join(f"{key} {value}" for key, value in facts.items()))
    print(figures.table())
    if arguments.json:
        figures.save(arguments.json, facts)
    if arguments.picture:
        summary.write(arguments.picture, summary.picture(figures))
    if arguments.markdown:
        summary.write(arguments.markdown, summary.markdown(figures, facts))


if __name__ == "__main__":
    main()
