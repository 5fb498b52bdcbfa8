"""Starts that find no room in the kernel's maps: looked for again, and no more often than that."""

import contextlib
import ctypes
import errno
import json
import os
import pathlib
import re
import subprocess

import harness
from harness import DaemonTestCase, gap_of, read_line, wait_until

SYS_BPF = 321
UPDATE, DELETE, OBJ_GET, TAKE = 2, 3, 7, 21  # enum bpf_cmd
ECHO = 'echo ready; while read l; do echo "$l"; done'
LIBC = ctypes.CDLL(None, use_errno=True)


def bpf(command, *numbers):
    """bpf(2) with an attribute of 64-bit numbers; OSError where it fails."""
    attribute = (ctypes.c_uint64 * 16)(*numbers)
    result = LIBC.syscall(SYS_BPF, command, attribute, ctypes.sizeof(attribute))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def until_refused(call):
    """Calls it with 0, 1, 2 … until the map has no more, or no room for more."""
    for number in range(1 << 20):
        try:
            call(number)
        except OSError as error:
            if error.errno not in (errno.E2BIG, errno.ENOENT):
                raise
            return
    raise AssertionError("the map has no end")


class FullMaps(DaemonTestCase):
    def open_map(self, name):
        path = ctypes.create_string_buffer(str(self.twinlog.pins() / name).encode())
        fd = bpf(OBJ_GET, ctypes.addressof(path))
        self.addCleanup(os.close, fd)
        return fd

    def take_slots(self, fd):
        slots = []

        def take(_):
            slot = ctypes.c_uint32()
            bpf(TAKE, fd, 0, ctypes.addressof(slot))
            slots.append(slot)

        until_refused(take)
        return slots

    @contextlib.contextmanager
    def no_free_runs(self):
        fd, keys, run = self.open_map("runs"), [], (ctypes.c_uint64 * 2)()

        def put(number):
            key = ctypes.c_uint64((1 << 62) + number)
            bpf(UPDATE, fd, ctypes.addressof(key), ctypes.addressof(run))
            keys.append(key)

        until_refused(put)
        yield
        for key in keys:
            bpf(DELETE, fd, ctypes.addressof(key))

    @classmethod
    def before_daemon(cls):
        # Where these tests run may bear a name that a container could have; this is none.
        cls.cgroup = harness.naming_hierarchy() / f"twinlog maps {os.getpid()}"
        cls.cgroup.mkdir()
        cls.addClassCleanup(wait_until, cls.removed, f"the end of all processes in {cls.cgroup}")

    @classmethod
    def removed(cls):
        try:
            cls.cgroup.rmdir()
        except OSError:
            return False
        return True

    def argv(self, *command):
        """The command as the first process of a pid namespace of its own."""
        return ["sh", "-c", f'echo 0 >"{self.cgroup}/cgroup.procs"; exec unshare -pf --kill-child "$@"', "sh", *command]

    def start(self):
        """Such a process, which says what it is told."""
        process = subprocess.Popen(self.argv("sh", "-c", ECHO),
                                   bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        self.assertEqual(read_line(process.stdout), b"ready\n")
        return process

    def find(self, process):
        """Its directory's name, None if it is not captured."""
        (init,) = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for info in (self.twinlog.store / "containers").glob("pidns-*/container.json"):
            with contextlib.suppress(FileNotFoundError):
                if json.loads(info.read_text())["init_pid"] == int(init):
                    return info.parent.name
        return None

    def check(self, process):
        """Once there is room it is captured from then on."""
        wait_until(lambda: self.find(process), "the run is captured")
        name = self.find(process)
        process.stdin.write(b"now\n")
        self.assertEqual(read_line(process.stdout), b"now\n")
        process.stdin.close()
        process.wait(harness.DEADLINE)
        self.assertEqual(self.twinlog.whole_logs(name), (b"now\n", b""))
        self.assertEqual([gap_of(entry) for entry in self.twinlog.entries(name)], [None])

    def test_no_stream(self):
        fd, slots = self.open_map("free_slots"), []
        process = None

        def refused():
            namespace = os.readlink(f"/proc/{process.pid}/ns/pid_for_children").strip("pid:[]")
            return re.search(rf"pidns-{namespace}-.*not captured yet: all", self.twinlog.said())

        while process is None or not refused():
            # Streams of what ended before may come free meanwhile.
            slots += self.take_slots(fd)
            process = self.start()
            wait_until(lambda: refused() or self.find(process), "the start is told")
        for slot in slots:
            bpf(UPDATE, fd, 0, ctypes.addressof(slot))
        self.check(process)

    def test_no_run(self):
        said = "found no room on their way here"
        talker = self.start()
        wait_until(lambda: self.find(talker), "the run is captured")
        follower = self.twinlog.follow(self.find(talker))
        self.addCleanup(follower.communicate)
        self.addCleanup(follower.kill)
        self.assertEqual(read_line(follower.stdout), b"ready\n")
        with self.no_free_runs():
            process = self.start()
            wait_until(lambda: said in self.twinlog.said(), "the daemon says it")
            # Each of them takes a pass, and each pass could look again.
            for _ in range(50):
                talker.stdin.write(b"x\n")
                self.assertEqual(read_line(talker.stdout), b"x\n")
                self.assertEqual(read_line(follower.stdout), b"x\n")
        self.check(process)
        self.assertLess(self.twinlog.said().count(said), 10)

    def test_nothing_is_left_of_who_said_nothing(self):
        containers = self.twinlog.store / "containers"

        def directories():
            return {path.name for path in containers.glob("pidns-*")}

        before = directories()
        for _ in range(20):
            subprocess.run(self.argv("true"), check=True, stdout=subprocess.PIPE)
        speaks = self.start()
        wait_until(lambda: self.find(speaks), "the run is captured")
        name = self.find(speaks)
        wait_until(lambda: directories() - before == {name}, "only one directory is left")
        speaks.stdin.close()
        self.assertEqual(self.twinlog.whole_logs(name), (b"ready\n", b""))


if __name__ == "__main__":
    harness.main()
