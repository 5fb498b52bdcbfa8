"""A long run of mixed load: containers that write, restart and are followed, rotation, a daemon that is
killed now and then. Every line is accounted for, and nothing grows. Short in CI; by hand, for example

    SOAK_SECONDS=7200 SOAK_CONTAINERS=50 SOAK_KILL_SECONDS=300 SOAK_PAUSE_US=100000 \
        python3 -B tests/integration/soak_test.py
"""

import concurrent.futures
import json
import os
import pathlib
import random
import re
import select
import signal
import time
import unittest

import harness
from harness import DaemonTestCase, Dockerd, bpftool

SECONDS = int(os.environ.get("SOAK_SECONDS", "40"))
CONTAINERS = int(os.environ.get("SOAK_CONTAINERS", "10"))
KILL_SECONDS = int(os.environ.get("SOAK_KILL_SECONDS", "10"))
PAUSE_US = int(os.environ.get("SOAK_PAUSE_US", "20000"))  # of a container after a line in each stream
RESTART_SECONDS = float(os.environ.get("SOAK_RESTART_SECONDS", "2"))  # a container each
FOLLOWERS = 3
# So that no line is rotated out: 64 KiB have some 700 of these short ones.
MAX_FILES = 50 + SECONDS * 2 * 1000000 // PAUSE_US // 500

# Each run counts from 1 and says at its end how far it came.
WRITER = """trap 'stop=1' TERM; i=0
while [ -z "$stop" ]; do i=$((i+1)); echo "$NAME out $i"; echo "$NAME err $i" >&2; usleep "$PAUSE_US"; done
echo "$NAME end $i"; echo "$NAME end $i" >&2"""


class Soak(DaemonTestCase):
    names = [f"soak-{os.getpid()}-{i}" for i in range(CONTAINERS)]
    # No other containers, so that what is counted is its own.
    daemon_options = ("--max-size", "64k", "--max-file", str(MAX_FILES),
                      *(word for name in names for word in ("--container", name)))

    @classmethod
    def before_daemon(cls):
        cls.docker = Dockerd()
        cls.addClassCleanup(cls.docker.stop)

    def footprint(self):
        """What must not grow while the same number of containers runs."""
        process = pathlib.Path(f"/proc/{self.twinlog.process.pid}")
        status = (process / "status").read_text()
        pins = self.twinlog.pins()
        sizes = {f"{name} entries": len(bpftool("map", "dump", "pinned", pins / name))
                 for name in ("streams", "runs", "inits")}
        return {"KiB of memory": int(re.search(r"VmRSS:\s+(\d+)", status).group(1)),
                "descriptors": len(os.listdir(process / "fd")), "pins": len(os.listdir(pins)), **sizes}

    def not_running(self):
        """Of which containers the present run is not known, or another one is left."""
        wrong = []
        for container, run in self.runs.items():
            file = self.twinlog.directory(container) / "container.json"
            info = json.loads(file.read_text()) if file.exists() else {}
            now = info.get("state"), info.get("run")
            if now != ("running", run):
                wrong.append(f"{container[:12]}: {now[0]}, run {now[1]} instead of {run}")
        return wrong

    def settled_footprint(self):
        try:
            harness.wait_until(lambda: not self.not_running(), "all runs being known")
        except AssertionError:
            self.twinlog.messages.seek(0)
            said = self.twinlog.messages.read().decode(errors="replace")
            self.fail("\n".join([*self.not_running(), *said.splitlines()[-200:]]))
        # Ended runs are given up some time after the new one is known.
        harness.wait_until(lambda: self.footprint()["streams entries"] == 2 * len(self.runs),
                           "the streams of ended runs being given up")
        return self.footprint()

    def follow_some(self, count):
        return [self.twinlog.follow(container) for container in random.sample(list(self.runs), count)]

    def end_all(self, followers):
        for follower in followers:
            follower.kill()
            follower.communicate()

    def read_some(self, followers):
        """Waits for lines, which come all the time. Of a container that was restarted, the follower ends;
        another one takes its place."""
        ended = []
        for pipe in select.select([f.stdout for f in followers], [], [], harness.DEADLINE)[0]:
            if not os.read(pipe.fileno(), 65536):
                ended += [f for f in followers if f.stdout is pipe]
        self.end_all(ended)
        return [f for f in followers if f not in ended] + self.follow_some(len(ended))

    def kill_daemon(self):
        self.twinlog.stop(signal.SIGKILL)
        self.twinlog.start(*self.daemon_options)

    def restart(self, container):
        self.docker("restart", container)
        self.runs[container] += 1

    def check(self, container, name):
        """The number of lines; each run of both streams must be whole."""
        lines = 0
        for stream, text in zip(("out", "err"), self.twinlog.whole_logs(container)):
            count, ends = 0, 0
            for line in text.decode().splitlines():
                who, what, number = line.split()
                self.assertEqual(who, name)
                if what == "end":
                    self.assertEqual(int(number), count)
                    count, ends = 0, ends + 1
                else:
                    count += 1
                    self.assertEqual((what, int(number)), (stream, count))
                lines += 1
            self.assertEqual((count, ends), (0, self.runs[container]))
        for counters in self.twinlog.info(container)["streams"].values():
            self.assertEqual(counters["lost"], 0)
        return lines

    def test_mixed_load(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            ids = list(pool.map(lambda name: self.docker.start(
                "sh", "-c", WRITER, driver="none",
                options=("--name", name, "-e", f"NAME={name}", "-e", f"PAUSE_US={PAUSE_US}")), self.names))
            self.runs = dict.fromkeys(ids, 1)
            first = self.settled_footprint()
            followers = self.follow_some(FOLLOWERS)
            begin = time.monotonic()
            next_kill, next_restart = begin + KILL_SECONDS, begin + RESTART_SECONDS
            kills = restarts = 0
            while time.monotonic() < begin + SECONDS:
                followers = self.read_some(followers)
                if time.monotonic() > next_restart:
                    self.restart(random.choice(ids))
                    next_restart, restarts = time.monotonic() + RESTART_SECONDS, restarts + 1
                if time.monotonic() > next_kill:
                    self.kill_daemon()
                    self.end_all(followers)
                    followers = self.follow_some(FOLLOWERS)
                    next_kill, kills = time.monotonic() + KILL_SECONDS, kills + 1
            last = self.settled_footprint()
            self.end_all(followers)
            list(pool.map(lambda container: self.docker("stop", container), ids))
        lines = sum(self.check(container, name) for container, name in zip(ids, self.names))
        print(f"  ({lines} lines of {CONTAINERS} containers in {SECONDS} s, {restarts} restarts, {kills} kills)")
        for what, value in first.items():
            print(f"  ({what}: {value} at the start, {last[what]} at the end)", flush=True)
        self.assertEqual(last["pins"], first["pins"])
        self.assertEqual(last["streams entries"], first["streams entries"])
        self.assertLessEqual(last["descriptors"], first["descriptors"] + 2 * FOLLOWERS)
        # Each restart would leave two, each line some bytes. Others on this host may come and go.
        self.assertLess(last["runs entries"] - first["runs entries"], max(restarts, 10))
        self.assertLess(last["KiB of memory"], 1.5 * first["KiB of memory"])


if __name__ == "__main__":
    harness.main()
