"""Who has a stream open: processes with very many files, tables of files that several processes share."""

import os
import pathlib
import re
import resource
import subprocess

import harness
from harness import TOOLS, DaemonTestCase, read_line

# What a process may have open: less than what many hosts allow, but more than one step of the walk.
MOST_FILES = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 100000)


class Process:
    """One of the writer's, which ends when its standard input does."""

    def __init__(self, test, *arguments, **options):
        self.process = subprocess.Popen([TOOLS / "writer", *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, **options)
        self.pid = self.process.pid
        self.name = f"pid-{self.pid}"
        test.addCleanup(self.process.stdout.close)
        test.addCleanup(self.end)

    def end(self):
        self.process.stdin.close()
        self.process.wait(harness.DEADLINE)


class Holders(DaemonTestCase):
    # For none of the others' processes; each test has a daemon of its own.
    daemon_options = ("--pid", os.getpid())

    def ready(self, *arguments, **options):
        process = Process(self, *arguments, **options)
        self.assertEqual(read_line(process.process.stdout), b"ready\n")
        return process

    def most_memory(self, daemon):
        """Bytes of its own that the daemon has had at most."""
        status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) << 10

    def look_once(self, daemon, process):
        """The process ends, and its streams with it: that takes a look at all open files."""
        process.end()
        daemon.whole_logs(process.name)

    def test_very_many_files(self):
        few = [self.ready("shared", 1, 0) for _ in range(2)]
        many = self.ready("shared", MOST_FILES - 100, 400)
        pids = [word for process in (*few, many) for word in ("--pid", process.pid)]
        daemon = self.daemon(*pids)
        before = self.most_memory(daemon)
        self.look_once(daemon, few[0])
        self.look_once(daemon, few[1])
        self.assertLess(self.most_memory(daemon) - before, 8 << 20)

    def test_high_descriptor(self):
        """One that is found late in a table that is walked in several steps."""
        told, tell = os.pipe()
        high = self.ready("high", MOST_FILES - 1, told, pass_fds=(told,))
        os.close(told)
        other = self.ready("shared", 1, 0)
        daemon = self.daemon("--pid", high.pid, "--pid", other.pid)
        high.end()
        # Looks at both, and the one that ended first would be finished by now.
        self.look_once(daemon, other)
        os.close(tell)
        self.assertEqual(read_line(high.process.stdout), b"late\n")
        self.assertEqual(daemon.whole_logs(high.name), (b"late\n", b""))


if __name__ == "__main__":
    harness.main()
