"""A daemon that takes over from one whose programs see the same calls in another way."""

import os
import pathlib
import signal
import subprocess
import tempfile

import harness
from harness import DaemonTestCase


class AnotherWay(DaemonTestCase):
    # For none of the others' processes; the test has a daemon of its own.
    daemon_options = ("--pid", os.getpid())

    def test_written_once(self):
        # A file: of a pipe the positions would tell.
        puppet = self.puppet()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(puppet.argv(), stdout=output, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        puppet.do("say", 1, "before")
        daemon = self.daemon("--backend", "tracepoint", "--pid", process.pid)
        puppet.do("say", 1, "first")
        pins = daemon.pins()
        daemon.stop(signal.SIGKILL)
        # As if it had been attached in the other way.
        ways = ["on_sys_exit", "on_sys_exit_perf"]
        (used,) = [name for name in ways if (pins / name).exists()]
        (pins / used).rename(pins / next(name for name in ways if name != used))
        puppet.do("say", 1, "meanwhile")
        daemon.start("--backend", "tracepoint", "--pid", process.pid)
        self.assertEqual([name for name in ways if pathlib.Path(pins / name).exists()], [used])
        puppet.do("say", 1, "after")
        puppet.end()
        process.wait(harness.DEADLINE)
        self.assertEqual(daemon.whole_logs(f"pid-{process.pid}"), (b"first\nmeanwhile\nafter\n", b""))


if __name__ == "__main__":
    harness.main()
