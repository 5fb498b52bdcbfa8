"""More than can be written: bursts of many rings, floods that do not end, and what lies beside them.
The daemon is kept behind by more formats than it can write at the speed of a pipe, and the ring is
small, so that all of it goes through the spill, in memory first and then on the disk."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import harness
from harness import TOOLS, DaemonTestCase, Twinlog, gap_of, text_of

SLOW = ("--format", "json-file,cri,raw", "--no-compress")
LINE = 65536
# Of a file system in memory a daemon takes a quarter: all of a burst.
MEMORY = 1 << 30
# Who keeps all takes 600 MB a second: still more than the daemon can write. At full speed a pipe
# is as fast as a virtual machine gets new memory from its host, and the spill, which is made of that, would
# lose the race now and then.
PACED = """
import os, time
taken = 0
while block := os.read(0, 65536):
    begun = begun if taken else time.monotonic()
    os.write(1, block)
    taken += len(block)
    time.sleep(max(0, begun + taken / 600e6 - time.monotonic()))
"""


class Writer:
    """A process that waits for a word and then writes; what comes out of its pipe goes to a file, or is
    only counted."""

    def __init__(self, *command, keep=True):
        self.out = tempfile.TemporaryFile() if keep else open(os.devnull, "wb")
        self.process = subprocess.Popen(
            ["sh", "-c", 'read go; "$@"; echo written >&2; read end', "-", TOOLS / "writer",
             *map(str, command)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.reader = subprocess.Popen([sys.executable, "-c", PACED] if keep else ["cat"],
                                       stdin=self.process.stdout, stdout=self.out)
        self.process.stdout.close()
        self.container = f"pid-{self.process.pid}"

    def go(self):
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def written(self):
        """What the writer said on stderr, once it is done; the process is still there."""
        said = b""
        while True:
            line = harness.read_line(self.process.stderr)
            if line in (b"written\n", b""):
                return said
            said += line

    def wait(self):
        """The same once the process has ended and its reader has all."""
        said = self.written()
        self.end()
        return said

    def end(self):
        self.process.stdin.close()
        self.process.stderr.close()
        self.process.wait(harness.DEADLINE)
        self.reader.wait(harness.DEADLINE)

    def text(self):
        self.out.seek(0)
        return self.out.read()

    def close(self):
        for process in (self.process, self.reader):
            process.kill()
            process.wait()
        for pipe in (self.process.stdin, self.process.stderr):
            pipe.close()
        self.out.close()


class Burst(DaemonTestCase):
    @classmethod
    def before_daemon(cls):
        """As systemd does with RuntimeDirectory=."""
        cls.files = {}
        cls.memory = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-memory-"))
        cls.addClassCleanup(cls.memory.rmdir)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEMORY},mode=0700", "tmpfs", cls.memory], check=True)
        cls.addClassCleanup(subprocess.run, ["umount", cls.memory], check=True)
        os.environ["RUNTIME_DIRECTORY"] = str(cls.memory)
        cls.addClassCleanup(os.environ.pop, "RUNTIME_DIRECTORY")
        cls.daemon_options = ("--container", "none-has-this-name")

    def writer(self, *command, **options):
        writer = Writer(*command, **options)
        self.addCleanup(writer.close)
        return writer

    def daemon_of(self, *writers, ring="32m", options=()):
        pids = [word for writer in writers for word in ("--pid", writer.process.pid)]
        daemon = self.daemon(*pids, "--ring-size", ring, *SLOW, *options)
        self.files[daemon] = self.memory / f"{daemon.pins().name}.spill"
        return daemon

    def spill_in_memory(self, daemon):
        return self.files[daemon]

    def spill_on_disk(self, daemon):
        return daemon.store / "spill"

    def spills(self, daemon):
        return self.spill_in_memory(daemon).exists() or self.spill_on_disk(daemon).exists()

    def check_whole(self, daemon, writer):
        out, _ = daemon.whole_logs(writer.container)
        self.assertSameBytes(out, writer.text(), "stdout")
        self.check_positions(daemon.entries(writer.container))
        stdout = daemon.info(writer.container)["streams"]["stdout"]
        self.assertEqual((stdout["lost"], stdout["gaps"], stdout["skipped"]), (0, 0, 0))

    def test_many_rings(self):
        burst = self.writer("burst", 2500, LINE)
        daemon = self.daemon_of(burst, options=("--max-size", "-1"))
        self.assertFalse(self.spills(daemon))
        burst.go()
        harness.wait_until(self.spill_in_memory(daemon).exists, "the spill")
        burst.wait()
        self.check_whole(daemon, burst)
        self.assertFalse(self.spill_on_disk(daemon).exists())
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(self.spills(daemon))

    def test_more_than_memory(self):
        burst = self.writer("burst", 2500, LINE)
        daemon = self.daemon_of(burst, options=("--max-size", "-1", "--spill-memory", "16m"))
        burst.go()
        harness.wait_until(self.spill_on_disk(daemon).exists, "the spill on the disk")
        self.assertLess(self.spill_in_memory(daemon).stat().st_size, 17 << 20)
        burst.wait()
        self.check_whole(daemon, burst)

    def test_no_memory(self):
        burst = self.writer("burst", 1000, LINE)
        daemon = self.daemon_of(burst, options=("--max-size", "-1", "--spill-memory", "0"))
        burst.go()
        harness.wait_until(self.spill_on_disk(daemon).exists, "the spill on the disk")
        self.assertFalse(self.spill_in_memory(daemon).exists())
        burst.wait()
        self.check_whole(daemon, burst)

    def test_nobody_comes_after_it(self):
        """What a killed daemon left in memory goes with its pins."""
        burst = self.writer("burst", 2500, LINE)
        daemon = self.daemon_of(burst)
        burst.go()
        harness.wait_until(self.spill_in_memory(daemon).exists, "the spill")
        daemon.stop(signal.SIGKILL)
        burst.wait()
        self.assertTrue(self.spill_in_memory(daemon).exists())
        daemon("stop")
        self.assertFalse(self.spill_in_memory(daemon).exists())

    def test_stopped_while_it_is_behind(self):
        burst = self.writer("burst", 2500, LINE)
        daemon = self.daemon_of(burst, options=("--max-size", "-1"))
        burst.go()
        harness.wait_until(lambda: self.spills(daemon), "the spill")
        burst.wait()
        self.assertEqual(daemon.stop(), 0)
        self.check_whole(daemon, burst)
        self.assertFalse(self.spills(daemon))

    def test_killed_while_it_is_behind(self):
        burst = self.writer("burst", 2500, LINE)
        # A part of it in memory, a part on the disk.
        options = ("--max-size", "-1", "--spill-memory", "64m")
        daemon = self.daemon_of(burst, options=options)
        burst.go()
        harness.wait_until(lambda: self.spills(daemon), "the spill")
        # All of it: while no daemon runs there is the ring alone.
        burst.written()
        kills = 0
        while kills < 4 and self.spills(daemon):
            daemon.stop(signal.SIGKILL)
            kills += 1
            daemon.start("--pid", burst.process.pid, "--ring-size", "32m", *SLOW, *options)
        burst.end()
        self.assertGreater(kills, 0)
        self.check_whole(daemon, burst)
        print(f"  ({kills} kills)", flush=True)

    def test_full(self):
        """A flood that has neither ring nor spill left: exact gaps, in its own log alone."""
        stop = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-burst-")) / "stop"
        self.addCleanup(lambda: (stop.unlink(missing_ok=True), stop.parent.rmdir()))
        flood = self.writer("flood", stop, keep=False)
        # No more than what every stream always has of the ring: 128 KiB, and each line comes twice.
        quiet = self.writer("burst", 100, 501)
        daemon = self.daemon_of(flood, quiet,
                                options=("--spill", "16m", "--spill-memory", "0",
                                         "--max-size", "20m", "--max-file", "40"))
        flood.go()

        def lost():
            info = daemon.directory(flood.container) / "container.json"
            return info.exists() and daemon.info(flood.container)["streams"]["stdout"]["lost"] > 0

        harness.wait_until(lost, "a loss")
        quiet.go()
        quiet.wait()
        stop.touch()
        written = int(flood.wait())
        self.check_whole(daemon, quiet)
        daemon.whole_logs(flood.container)
        entries = [e for e in daemon.entries(flood.container) if e.source.endswith("stdout")]
        at = entries[0].extra.get(1000, [0])[0]
        missing = 0
        for entry in entries:
            self.assertEqual(entry.extra.get(1000, [0])[0], at)
            gap = gap_of(entry)
            missing += gap or 0
            at += len(text_of(entry)) if gap is None else gap
        self.assertEqual(at, written)
        stdout = daemon.info(flood.container)["streams"]["stdout"]
        self.assertEqual(stdout["bytes"], written)
        self.assertGreaterEqual(stdout["lost"], missing)
        print(f"  ({written} bytes, {stdout['lost']} of them in gaps)", flush=True)

    def test_the_newest_is_kept(self):
        """A flood that its log would not keep: what is kept is its end, without a gap."""
        directory = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-burst-"))
        stop = directory / "stop"
        self.addCleanup(lambda: (stop.unlink(missing_ok=True), directory.rmdir()))
        flood = self.writer("flood", stop, keep=False)
        daemon = self.daemon_of(flood, ring="64m", options=("--max-size", "2m", "--max-file", "3"))
        flood.go()

        seen = set()

        def skipped_again():
            info = daemon.directory(flood.container) / "container.json"
            if info.exists():
                seen.add(daemon.info(flood.container)["streams"]["stdout"]["skipped"])
            return len(seen) > 3

        harness.wait_until(skipped_again, "something to be skipped several times")
        stop.touch()
        written = int(flood.wait())
        daemon.whole_logs(flood.container)
        entries = [e for e in daemon.entries(flood.container) if e.source.endswith("stdout")]
        at = entries[0].extra[1000][0]
        for entry in entries:
            self.assertIsNone(gap_of(entry))
            self.assertEqual(entry.extra[1000][0], at)
            at += len(text_of(entry))
        self.assertEqual(at, written)
        stdout = daemon.info(flood.container)["streams"]["stdout"]
        self.assertEqual((stdout["bytes"], stdout["lost"], stdout["gaps"]), (written, 0, 0))
        print(f"  ({written} bytes, {stdout['skipped']} of them skipped)", flush=True)


if __name__ == "__main__":
    harness.main()
