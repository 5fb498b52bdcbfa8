"""Two runs that write into one pipe: it is the first one's, and the other's once that has ended."""

import os
import signal
import subprocess

import harness
from harness import DaemonTestCase, gap_of, read_line, text_of


class SharedStdout(DaemonTestCase):
    # For none of the others' processes; each test has a daemon of its own.
    daemon_options = ("--pid", os.getpid())

    def setUp(self):
        read_end, write_end = os.pipe()
        self.pipe = os.fdopen(read_end, "rb", buffering=0)
        self.addCleanup(self.pipe.close)
        self.puppets = [self.puppet(), self.puppet()]
        self.processes = [subprocess.Popen(puppet.argv(), stdout=write_end, stderr=subprocess.DEVNULL)
                          for puppet in self.puppets]
        os.close(write_end)
        for process in self.processes:
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
        self.names = [f"pid-{process.pid}" for process in self.processes]
        # By now they are what they will be.
        for number in (0, 1):
            self.say(number, "before")
        self.options = [word for process in self.processes for word in ("--pid", process.pid)]
        self.captured = self.daemon(*self.options)

    def say(self, number, word):
        """A line of one of them, which its reader has read."""
        self.puppets[number].do("say", 1, word)
        self.assertEqual(read_line(self.pipe), word.encode() + b"\n")

    def end(self, number):
        self.puppets[number].end()
        self.processes[number].wait(harness.DEADLINE)
        return self.captured.whole_logs(self.names[number])[0].decode().split()

    def start_again(self):
        self.captured.stop(signal.SIGKILL)
        self.say(0 if self.processes[0].poll() is None else 1, "meanwhile")
        self.captured.start(*self.options[0 if self.processes[0].poll() is None else 2:])

    def check_without_gaps(self, number):
        entries = self.captured.entries(self.names[number])
        self.assertEqual([gap_of(entry) for entry in entries], [None] * len(entries))
        for entry, following in zip(entries, entries[1:]):
            self.assertEqual(following.extra[1000][0], entry.extra.get(1000, [0])[0] + len(text_of(entry)))

    def test_daemon_that_is_killed(self):
        self.say(0, "first")
        self.say(1, "second")
        self.start_again()
        self.say(1, "second-on")
        self.say(0, "first-on")
        self.assertEqual(self.end(0), ["first", "second", "meanwhile", "second-on", "first-on"])
        self.check_without_gaps(0)
        self.assertEqual(self.end(1), [])
        self.check_without_gaps(1)

    def test_owner_that_ends(self):
        self.say(0, "first")
        self.say(1, "second")
        self.assertEqual(self.end(0), ["first", "second"])
        self.say(1, "second-on")
        self.start_again()
        self.say(1, "second-and-on")
        self.assertEqual(self.end(1), ["second-on", "meanwhile", "second-and-on"])
        for number in (0, 1):
            self.check_without_gaps(number)

    def test_container_that_nobody_asked_for(self):
        """It is told before the process that was asked for, and with it the stream is given back."""
        puppet = self.puppet()
        with open(f"/proc/{self.processes[0].pid}/fd/1", "wb") as shared:
            container = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", *puppet.argv()],
                                         stdout=shared, stderr=subprocess.DEVNULL)
        self.addCleanup(container.wait)
        self.addCleanup(container.kill)
        self.puppets.append(puppet)
        self.say(2, "before")
        self.captured = self.daemon("--container", "nobody", "--pid", self.processes[0].pid)
        self.say(0, "first")
        self.say(2, "second")
        self.assertEqual(self.end(0), ["first", "second"])


if __name__ == "__main__":
    harness.main()
