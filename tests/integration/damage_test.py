"""Damage, as a user meets it: logs that are cut, changed or taken away while they are read, disks that
are full or read-only while they are written. The single cases are in tests/unit (verify, faults)."""

import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import harness
from errors_test import frame
from harness import TWINLOG, Twinlog, cannot_run, read_line, run

CLONE_NEWNS = 0x00020000
LOG = "container-cached.log"


def private_mounts():
    """What this process and its children mount from here on is seen by nobody else."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        cannot_run(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    run("mount", "--make-rprivate", "/")


class Reading(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            cannot_run("needs root")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-damage-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.store = self.directory / "store"
        self.container = self.store / "containers" / ("a" * 64)
        self.container.mkdir(parents=True)
        self.state("ended")
        self.log = self.container / LOG
        self.lines = [b"line %d" % i for i in range(9)]
        self.frames = [frame(b"stdout", line) for line in self.lines]
        self.log.write_bytes(b"".join(self.frames))

    def state(self, state):
        fresh = self.container / "container.json.new"
        fresh.write_text(json.dumps({"id": "a" * 64, "name": "web", "state": state, "run": 1}))
        fresh.rename(self.container / "container.json")

    def twinlog(self, command, *arguments, check=True):
        return run(TWINLOG, command, "--store", self.store, *arguments, check=check)

    def assertShown(self, lines, *words):
        done = self.twinlog("logs", "web")
        self.assertEqual(done.stdout.splitlines(), lines)
        for word in words:
            self.assertIn(word, done.stderr.decode())
        if not words:
            self.assertEqual(done.stderr, b"")

    def check_and_mend(self, lines):
        """verify tells, --repair mends, and what could be read before can be read after."""
        found = self.twinlog("verify", check=False)
        self.assertEqual(found.returncode, 1)
        self.assertIn(LOG, found.stdout.decode())
        mended = self.twinlog("verify", "--repair")
        self.assertIn(b"(mended)", mended.stdout)
        self.assertIn(b"all good", self.twinlog("verify").stdout)
        self.assertShown(lines)

    def test_zero_block(self):
        data = bytearray(self.log.read_bytes())
        begin, end = len(b"".join(self.frames[:3])), len(b"".join(self.frames[:6]))
        data[begin:end] = bytes(end - begin)
        self.log.write_bytes(data)
        left = self.lines[:3] + self.lines[6:]
        self.assertShown(left, f"{LOG}: skipped {end - begin} bytes at byte {begin}: damaged")
        self.check_and_mend(left)

    def test_lengths_that_lie(self):
        for length in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\x0e\0\0", b"\0\0\0\1"):
            begin = len(self.frames[0])
            data = bytearray(b"".join(self.frames))
            data[begin:begin + 4] = length
            self.log.write_bytes(data)
            left = self.lines[:1] + self.lines[2:]
            self.assertShown(left, f"skipped {len(self.frames[1])} bytes at byte {begin}")
            self.check_and_mend(left)

    def test_torn_tail(self):
        whole = b"".join(self.frames[:-1])
        for cut in range(1, len(self.frames[-1])):
            self.log.write_bytes(whole + self.frames[-1][:cut])
            self.assertShown(self.lines[:-1], f"skipped the last {cut} byte")
        self.check_and_mend(self.lines[:-1])

    def test_missing_rotated_file(self):
        for number in (1, 3):
            (self.container / f"{LOG}.{number}").write_bytes(frame(b"stdout", b"older %d" % number))
        found = self.twinlog("verify", check=False)
        self.assertEqual(found.returncode, 1)
        self.assertIn(b"the file number 2, which is newer than it, is missing", found.stdout)
        self.check_and_mend([b"older 3", b"older 1", *self.lines])

    def test_permissions(self):
        """Whoever may not read is told which file."""
        self.directory.chmod(0o755)
        for path in (self.store, self.container.parent, self.container):
            path.chmod(0o755)
        (self.container / "container.json").chmod(0o644)
        self.log.chmod(0o600)
        program = shutil.copy(TWINLOG, self.directory / "twinlog")
        for command in ("logs", "verify"):
            done = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, command,
                       "--store", self.store, "web", check=False)
            said = (done.stdout + done.stderr).decode()
            self.assertEqual(done.returncode, 1, said)
            self.assertIn(f"{self.log}", said)
            self.assertIn("Permission denied", said)

    def test_no_regular_file(self):
        for make in (lambda: os.mkfifo(self.log), lambda: self.log.symlink_to("/etc/passwd"), self.log.mkdir):
            self.log.unlink() if not self.log.is_dir() else self.log.rmdir()
            make()
            done = self.twinlog("logs", "web", check=False)
            self.assertEqual(done.stdout, b"")
            self.assertIn(b"not a regular file: passed over", done.stderr)
            self.assertEqual(done.returncode, 0)

    def follow(self):
        self.state("running")
        follower = subprocess.Popen([TWINLOG, "logs", "--store", str(self.store), "-f", "web"],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(follower.stdout.close)
        self.addCleanup(follower.stderr.close)
        self.assertIn(b"no daemon runs with this store", read_line(follower.stderr))
        for line in self.lines:
            self.assertEqual(read_line(follower.stdout), line + b"\n")
        return follower

    def test_truncated_under_the_reader(self):
        follower = self.follow()
        size = self.log.stat().st_size
        os.truncate(self.log, 0)
        said = read_line(follower.stderr)
        self.assertIn(b"became shorter while it was read, by %d bytes" % size, said)
        with open(self.log, "ab") as log:
            log.write(frame(b"stdout", b"after"))
        self.assertEqual(read_line(follower.stdout), b"after\n")
        self.state("ended")
        self.assertEqual(follower.wait(harness.DEADLINE), 0)

    def test_deleted_under_the_reader(self):
        follower = self.follow()
        self.log.unlink()
        self.log.write_bytes(frame(b"stdout", b"new file"))
        self.assertEqual(read_line(follower.stdout), b"new file\n")
        shutil.rmtree(self.container)
        self.assertEqual(follower.wait(harness.DEADLINE), 0)

    def test_read_only_store(self):
        private_mounts()
        self.log.write_bytes(b"".join(self.frames)[:-3])
        run("mount", "--bind", self.store, self.store)
        self.addCleanup(run, "umount", self.store)
        run("mount", "-o", "remount,bind,ro", self.store)
        self.assertShown(self.lines[:-1], "not complete")
        self.assertEqual(self.twinlog("verify", check=False).returncode, 1)
        refused = self.twinlog("verify", "--repair", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"Read-only file system", refused.stdout + refused.stderr)
        self.assertShown(self.lines[:-1], "not complete")


class Missing(unittest.TestCase):
    """What is gone of a log of a daemon, though all that is left of it can be read."""

    def setUp(self):
        if os.geteuid() != 0:
            cannot_run("needs root")
        store = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-damage-"))
        self.addCleanup(shutil.rmtree, store)
        writer = subprocess.Popen(["sh", "-c", 'read l; seq -f "a line of some length, %g" 1500'],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(writer.wait)
        self.addCleanup(writer.stdout.close)
        self.daemon = Twinlog("--pid", writer.pid, "--max-size", "40k", "--no-compress", store=store)
        self.addCleanup(self.daemon.close)
        self.written = writer.communicate(b"go\n")[0]
        # Its first record may still be on its way to the store.
        self.daemon.whole_logs(f"pid-{writer.pid}")
        self.name = self.daemon.directory(f"pid-{writer.pid}").name
        self.log = store / "containers" / self.name / LOG
        self.assertTrue(self.log.with_name(LOG + ".2").exists())

    def logs(self, *arguments):
        done = self.daemon("logs", *arguments, self.name)
        return done.stdout, done.stderr.decode()

    def assertDamaged(self, *words):
        found = run(TWINLOG, "verify", "--store", self.daemon.store, check=False)
        self.assertEqual(found.returncode, 1, found.stdout)
        said = self.logs()[1]
        for word in words:
            self.assertIn(word, said)
            self.assertIn(word, found.stdout.decode())

    def test_nothing_is(self):
        self.assertEqual(self.logs(), (self.written, ""))
        self.assertEqual(self.logs("-n", "3")[1], "")
        self.assertIn(b"all good", self.daemon("verify").stdout)

    def test_the_end(self):
        whole = self.log.read_bytes()
        first = int.from_bytes(whole[:4], "big") + 8
        self.log.write_bytes(whole[:first])
        shown = self.logs()[0]
        lost = len(self.written) - len(shown)
        self.assertDamaged(f"{lost:,} bytes of stdout are missing at the end of the log")
        said = [json.loads(line) for line in self.logs("-o", "json")[0].splitlines()]
        self.assertEqual(said[-1]["bytes"], lost)
        for damage in (lambda: self.log.write_bytes(b""), self.log.unlink):
            damage()
            self.assertDamaged("bytes of stdout are missing at the end of the log")
        self.assertEqual(self.daemon.stop(), 0)
        self.assertIn(b"(mended)", self.daemon("verify", "--repair").stdout)
        self.assertIn(b"all good", self.daemon("verify").stdout)
        self.assertIn("lost here: the log was damaged after it was written", self.logs()[1])

    def test_the_middle(self):
        self.log.with_name(LOG + ".1").unlink()
        shown = self.logs()[0]
        lost = len(self.written) - len(shown)
        self.assertDamaged(f"{lost:,} bytes of stdout are missing")
        self.assertTrue(any(json.loads(line).get("bytes") == lost
                            for line in self.logs("-o", "json")[0].splitlines()))

    def test_everything(self):
        for file in self.log.parent.glob(LOG + "*"):
            file.unlink()
        self.assertDamaged(f"up to {len(self.written):,} bytes of stdout are missing at the end of the log")

    def test_something_else_in_its_place(self):
        for make in (lambda: os.mkfifo(self.log), lambda: self.log.symlink_to("/etc/passwd"), self.log.mkdir):
            self.log.unlink() if not self.log.is_dir() else self.log.rmdir()
            make()
            self.assertDamaged("not a regular file", "are missing at the end of the log")


class FullDisk(unittest.TestCase):
    """A daemon whose store has no room for a while."""

    def setUp(self):
        if os.geteuid() != 0:
            cannot_run("needs root")
        private_mounts()
        self.writer = subprocess.Popen(["sh", "-c", 'while read l; do echo "$l"; done'], bufsize=0,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.writer.wait)
        self.addCleanup(self.writer.stdout.close)
        self.addCleanup(self.writer.stdin.close)
        self.daemon = None

    def say(self, text):
        self.writer.stdin.write(text + b"\n")
        self.assertEqual(read_line(self.writer.stdout), text + b"\n")

    def test_full_disk(self):
        directory = tempfile.mkdtemp(prefix="twinlog-damage-")
        self.addCleanup(os.rmdir, directory)
        run("mount", "-t", "tmpfs", "-o", "size=2m", "none", directory)
        self.addCleanup(run, "umount", "-l", directory)
        store = pathlib.Path(directory) / "store"
        daemon = Twinlog("--pid", self.writer.pid, store=store)
        self.addCleanup(daemon.close)
        self.say(b"before")
        harness.wait_until(lambda: list(store.glob(f"containers/*/{LOG}")), "the log is there")
        (name,) = os.listdir(store / "containers")
        follower = daemon.follow(name)
        self.assertEqual(read_line(follower.stdout), b"before\n")

        filler = pathlib.Path(directory) / "filler"
        with open(filler, "wb", buffering=0) as file, self.assertRaises(OSError):
            while True:
                file.write(bytes(4096))
        written = [b"line %d " % i + b"x" * 500 for i in range(40)]
        for line in written:
            self.say(line)
        harness.wait_until(lambda: "No space left on device" in daemon.said(), "the daemon says that it is full")
        # What it costs is counted meanwhile, although there is room for no new file.
        harness.wait_until(lambda: daemon.info(name)["streams"]["stdout"]["lost"] > 0, "the loss is counted")
        self.assertEqual(os.statvfs(directory).f_bfree, 0)
        self.assertEqual(daemon.said().count("No space left on device"), 1, daemon.said())
        self.assertIn("--max-total", daemon.said())
        filler.unlink()
        self.say(b"after")

        shown = []
        while not shown or shown[-1] != b"after\n":
            shown.append(read_line(follower.stdout))
        self.assertEqual(daemon.stop(), 0)
        follower.kill()
        _, said = follower.communicate(timeout=harness.DEADLINE)
        # What is left in the last page of the file goes on being written.
        kept = [line + b"\n" for line in written if line + b"\n" in shown]
        self.assertLess(len(kept), len(written))
        self.assertEqual(shown, [*kept, b"after\n"])
        lost = sum(len(line) + 1 for line in written) - sum(map(len, kept))
        # As many gaps as there were times at which a little could be written.
        told = re.findall(r"stdout: ([\d,]+) bytes lost here: the log could not be written", said.decode())
        self.assertEqual(sum(int(count.replace(",", "")) for count in told), lost)
        self.assertEqual(daemon.info(name)["streams"]["stdout"]["lost"], lost)
        self.assertIn(b"all good", daemon("verify").stdout)

    def test_log_that_cannot_be_opened(self):
        store = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-damage-"))
        self.addCleanup(shutil.rmtree, store)
        containers = store / "containers"
        containers.mkdir()

        def read_only(path, *options):
            run("mount", *options, path)
            self.addCleanup(run, "umount", "-l", path, check=False)

        # At the start of a run there is no room for its directory.
        read_only(containers, "-t", "tmpfs", "-o", "ro", "none")
        daemon = Twinlog("--pid", self.writer.pid, store=store)
        self.addCleanup(daemon.close)
        self.say(b"lost")
        self.say(b"too")
        run("umount", containers)
        harness.wait_until(lambda: list(containers.glob("*/container.json")), "the log is open")
        self.say(b"kept")
        (name,) = os.listdir(containers)
        follower = daemon.follow(name)
        self.addCleanup(follower.communicate)
        self.addCleanup(follower.kill)
        self.assertEqual(read_line(follower.stdout), b"kept\n")

        # And when it is taken over its log is read-only.
        daemon.stop(signal.SIGKILL)
        self.say(b"meanwhile")
        log = containers / name / LOG
        read_only(log, "--bind", log)
        run("mount", "-o", "remount,bind,ro", log)
        daemon.start("--pid", self.writer.pid)
        self.say(b"at that time")
        lost = len(b"lost\ntoo\nmeanwhile\nat that time\n")
        harness.wait_until(lambda: daemon.info(name)["streams"]["stdout"]["lost"] == lost, "all of it is counted")
        run("umount", log)
        harness.wait_until(lambda: "its log is open now" in daemon.said(), "the log is open again")
        self.say(b"kept again")
        self.assertEqual(read_line(follower.stdout), b"kept again\n")
        self.assertEqual([(harness.gap_of(entry), entry.line) for entry in daemon.entries(name)],
                         [(len(b"lost\ntoo\n"), b""), (None, b"kept"),
                          (len(b"meanwhile\nat that time\n"), b""), (None, b"kept again")])
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.info(name)["streams"]["stdout"]["lost"], lost)
        self.assertEqual(daemon.info(name)["run"], 1)


if __name__ == "__main__":
    harness.main()
