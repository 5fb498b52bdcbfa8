"""Two runs that write into one pipe: it is the first one's, and the other's once that has ended."""

import os
import signal
import subprocess

import harness
from harness import TOOLS, DaemonTestCase, gap_of, read_line, text_of


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

    def check_without_gaps(self, name):
        entries = self.captured.entries(name)
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
        self.check_without_gaps(self.names[0])
        self.assertEqual(self.end(1), [])
        self.check_without_gaps(self.names[1])

    def test_owner_that_ends(self):
        self.say(0, "first")
        self.say(1, "second")
        self.assertEqual(self.end(0), ["first", "second"])
        self.say(1, "second-on")
        self.start_again()
        self.say(1, "second-and-on")
        self.assertEqual(self.end(1), ["second-on", "meanwhile", "second-and-on"])
        for name in self.names:
            self.check_without_gaps(name)

    def start_to_be_killed(self, point, *options):
        self.captured.launcher = ("env", f"LD_PRELOAD={TOOLS / 'crash_points.so'}", f"CRASH_STORE={self.captured.store}",
                                  f"CRASH_VISITED={self.captured.store / 'visited'}", f"CRASH_ONLY={point}")
        self.captured.start(*options)
        self.captured.launcher = ()

    def wait_until_killed(self):
        self.assertEqual(self.captured.process.wait(harness.DEADLINE), -signal.SIGKILL)
        self.captured.stop()

    def put(self, number, text):
        """The beginning of a line, which its reader has read."""
        self.puppets[number].do("put", 1, text)
        self.assertEqual(self.pipe.read(len(text)), text.encode())

    def test_killed_while_it_is_handed_on(self):
        """Before the kernel knows of it, and when it does: what had begun there is in one log, once."""
        ended, run = (f"store into states at {offset}" for offset in (48, 24))  # of struct tw_state
        self.say(0, "first")
        self.put(0, "begun ")
        self.captured.stop(signal.SIGKILL)
        self.start_to_be_killed(f"before {ended}", *self.options)
        self.puppets[0].end()
        self.processes[0].wait(harness.DEADLINE)
        self.wait_until_killed()
        self.say(1, "meanwhile")
        self.start_to_be_killed(f"after {run}", *self.options[2:])
        self.put(1, "begun-too ")
        self.wait_until_killed()
        self.say(1, "meanwhile-too")
        self.captured.start(*self.options[2:])
        self.say(1, "on")
        self.captured.whole_logs(self.names[0])
        self.end(1)
        logs = [self.captured.entries(name) for name in self.names]
        entries = [entry for log in logs for entry in log]
        self.assertEqual(b"".join(map(text_of, entries)),
                         b"first\nbegun meanwhile\nbegun-too meanwhile-too\non\n")
        self.assertEqual(b"".join(map(text_of, logs[1])), b"meanwhile-too\non\n")
        at = entries[0].extra.get(1000, [0])[0]
        for entry in entries:
            self.assertEqual((entry.extra.get(1000, [0])[0], gap_of(entry)), (at, None))
            at += len(text_of(entry))

    def test_one_of_two_streams_is_gone(self):
        """It went with the run that had it; the other one of who shared it goes on, by a next daemon too."""
        puppet = self.puppet()
        read_end, write_end = os.pipe()
        errors = os.fdopen(read_end, "rb", buffering=0)
        self.addCleanup(errors.close)
        with open(f"/proc/{self.processes[0].pid}/fd/1", "wb") as shared:
            process = subprocess.Popen(puppet.argv(), stdout=shared, stderr=write_end)
        os.close(write_end)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        name = f"pid-{process.pid}"

        def complain(word):
            puppet.do("say", 2, word)
            self.assertEqual(read_line(errors), word.encode() + b"\n")

        complain("before")
        self.captured.stop()
        self.captured.start(*self.options, "--pid", process.pid)
        complain("first")
        puppet.do("close", 1)
        self.puppets[1].end()
        self.processes[1].wait(harness.DEADLINE)
        self.puppets[0].end()
        self.processes[0].wait(harness.DEADLINE)
        self.assertEqual(self.pipe.read(1), b"")
        self.captured.whole_logs(self.names[0])
        self.captured.stop(signal.SIGKILL)
        complain("meanwhile")
        self.captured.start("--pid", process.pid)
        complain("on")
        puppet.end()
        process.wait(harness.DEADLINE)
        self.assertEqual(self.captured.whole_logs(name), (b"", b"first\nmeanwhile\non\n"))
        self.check_without_gaps(name)

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
