"""Every way into a container's output, against what dockerd kept of the same run: system calls that
copy nothing, rings of requests, memory that changes, terminals, concurrent writers, and others than
the container's processes and its runtime at work in its pipes."""

import collections
import fcntl
import os
import pty
import select
import signal
import termios
import tty
import unittest

import harness
from harness import DockerTestCase, read_line, stop_process, text_of, wait_until, writer_of

HOST = ("-v", "/usr:/usr:ro")
# Docker's profile may forbid io_uring.
FREE = ("--security-opt", "seccomp=unconfined")
FILE = "seq 20000 | sed 's/.*/line & of a file/' >/f"

# name: (driver, options, command). dockerd's json-file log is compared where all is UTF-8.
WAYS = {
    "sendfile": ("json-file", (), ("writer", "sendfile")),
    "splice": ("json-file", FREE, ("writer", "splice")),
    "splice_pipe": ("json-file", FREE, ("writer", "splice-pipe")),
    "tee": ("json-file", FREE, ("writer", "tee")),
    "vmsplice": ("json-file", FREE, ("writer", "vmsplice")),
    "busybox_cat": ("json-file", (), ("sh", "-c", f"{FILE}; echo before; cat /f /f; echo after")),
    "busybox_dd": ("json-file", (), ("sh", "-c", f"{FILE}; dd if=/f bs=777; dd if=/f bs=100000")),
    "busybox_tail": ("json-file", (), ("sh", "-c", f"{FILE}; tail -c 300001 /f; tail -n 3 /f; cp /f /dev/stdout")),
    "debian_cat": ("json-file", HOST, ("sh", "-c", f"{FILE}; /usr/bin/cat /f; /usr/bin/cat </f >/dev/stderr")),
    "uring_write": ("json-file", FREE, ("writer", "uring", "write")),
    "uring_writev": ("json-file", FREE, ("writer", "uring", "writev")),
    "uring_fixed": ("json-file", FREE, ("writer", "uring", "fixed")),
    "uring_splice": ("json-file", FREE, ("writer", "uring", "splice")),
    "uring_async": ("json-file", FREE, ("writer", "uring", "write", "async")),
    "uring_sqpoll": ("json-file", FREE, ("writer", "uring", "write", "sqpoll")),
    "uring_sqpoll_splice": ("json-file", FREE, ("writer", "uring", "splice", "sqpoll")),
    "aio": ("json-file", FREE, ("writer", "aio")),
    "aio_writev": ("json-file", FREE, ("writer", "aio", "writev")),
    "changing": ("json-file", (), ("writer", "changing")),
    "unmapped": ("json-file", (), ("writer", "unmapped")),
    "cold_file": ("json-file", (), ("writer", "cold-file")),
    "untouched": ("local", (), ("writer", "untouched")),
    "paged_out": ("json-file", (), ("writer", "paged-out")),
    "huge_pages": ("json-file", (), ("writer", "huge-pages")),
    "far_segments": ("json-file", (), ("writer", "far-segments")),
    "claimed_writes_exchanged": ("json-file", (), ("writer", "exchanged")),
    "claimed_writes_answered": ("json-file", FREE, ("writer", "answered")),
    "claimed_reads_exchanged": ("json-file", (), ("writer", "reads-exchanged")),
    "claimed_reads_answered": ("json-file", FREE, ("writer", "reads-answered")),
    "claimed_reads_in_the_hosts_namespace": ("json-file", ("--pid=host",), ("writer", "reads-exchanged")),
    "powers": ("json-file", (), ("writer", "powers")),
    "forged": ("local", (), ("writer", "forged")),
    "replaced": ("json-file", (), ("writer", "replaced")),
    "bits32_sendfile": ("json-file", (), ("writer32", "sendfile")),
    "bits32_vmsplice": ("json-file", FREE, ("writer32", "vmsplice")),
    "bits32_splice": ("json-file", FREE, ("writer32", "splice")),
    "bits32_changing": ("json-file", (), ("writer32", "changing")),
    "terminal": ("json-file", ("-t",), ("sh", "-c", "printf 'a\\tb\\n\\n\\rc\\r\\n'; writer stdio; echo x >&2")),
    "terminal_sizes": ("json-file", ("-t",), ("writer", "sizes")),
    "terminal_sendfile": ("json-file", ("-t",), ("writer", "sendfile")),
    "terminal_uring": ("json-file", ("-t", *FREE), ("writer", "uring", "write")),
    "terminal_raw": ("json-file", ("-t",), ("sh", "-c", "stty raw; writer mib 1; stty sane; echo end")),
    "terminal_many": ("json-file", ("-t",), ("writer", "many", "8", "200")),
    "terminal_reopened": ("json-file", ("-t",), ("sh", "-c", "echo a >/dev/tty; echo b >/dev/stderr; writer replaced")),
}


def unread_in(pid):
    """Bytes in the pipe that is its stdout."""
    with open(f"/proc/{pid}/fd/1", "rb", buffering=0) as pipe:
        count = fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4)
    return int.from_bytes(count, "little")


class TortureTestCase(DockerTestCase):
    """One dockerd and one daemon for all classes: each would take longer to come than its tests."""

    shared = None

    @classmethod
    def setUpClass(cls):
        if TortureTestCase.shared is None:
            super().setUpClass()
            TortureTestCase.shared = cls.docker, cls.twinlog
        cls.docker, cls.twinlog = TortureTestCase.shared

    @classmethod
    def addClassCleanup(cls, function, /, *arguments, **options):
        unittest.addModuleCleanup(function, *arguments, **options)


class HugePages:
    """A few for as long as a test needs them; the kernel may have none to give."""

    FILE = "/proc/sys/vm/nr_hugepages"

    def __enter__(self):
        with open(self.FILE, encoding="ascii") as file:
            self.before = file.read()
        self.set(str(int(self.before) + 4))

    def set(self, number):
        with open(self.FILE, "w", encoding="ascii") as file:
            file.write(number)

    def __exit__(self, *unused):
        self.set(self.before)


class Ways(TortureTestCase):
    def compare(self, driver, options, command):
        if command[0] == "writer32":
            harness.need_32_bit()
        container = self.docker.start(*command, driver=driver, options=options)
        status = self.docker.wait(container)
        if status == 77:
            harness.cannot_run(self.docker.logs(container)[1].decode(errors="replace"))
        self.assertEqual(status, 0, self.docker.logs(container)[1][-500:])
        self.assertGreater(len(self.compare_ended(container, driver)), 2)
        self.docker("rm", container)

    def test_with_huge_pages(self):
        with HugePages():
            self.compare(*WAYS["huge_pages"])

    def test_typed_input_is_echoed(self):
        """What is typed into `docker run -it` is in the log as often as the terminal showed it."""
        master, slave = pty.openpty()
        tty.setraw(slave)
        client = self.docker.popen(
            "run", "-it", "--network", "none", "--name", "typed", harness.IMAGE, "sh", "-c",
            "echo ready; read a; echo got $a; stty -echo; echo hidden; read b; echo got $b; stty echo; echo visible; cat",
            stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)

        def until(text):
            shown = b""
            while text not in shown:
                self.assertTrue(select.select([master], [], [], harness.DEADLINE)[0], f"only {shown!r}")
                shown += os.read(master, 4096)

        until(b"ready\r\n")
        os.write(master, b"typed\tone\x7f\r")
        until(b"hidden\r\n")
        os.write(master, b"secret\r")
        until(b"visible\r\n")
        os.write(master, "grüße\r".encode())
        until("grüße\r\ngrüße\r\n".encode())
        os.write(master, b"\x04")
        self.assertEqual(client.wait(harness.DEADLINE), 0)
        os.close(master)
        container = self.docker("inspect", "-f", "{{.Id}}", "typed").stdout.decode().strip()
        entries = self.compare_ended(container)
        text = b"".join(text_of(e) for e in entries)
        self.assertEqual(text.count("grüße".encode()), 2)
        self.assertEqual(text.count(b"secret"), 1)


def _add(name, case):
    def test(self):
        self.compare(*case)
    test.__name__ = f"test_{name}"
    setattr(Ways, test.__name__, test)


for _name, _case in WAYS.items():
    if _name != "huge_pages":
        _add(_name, _case)


class Order(TortureTestCase):
    def many(self, writers, lines, size):
        container = self.docker.run("writer", "many", writers, lines, size)
        entries = self.compare_ended(container)
        return container, entries

    def test_64_writers_of_short_lines(self):
        container, entries = self.many(64, 1500, 60)
        self.assertEqual(len(entries), 64 * 1500)
        seen, comms = collections.defaultdict(list), set()
        for entry in entries:
            name, number = entry.line.split()[:2]
            writer = writer_of(entry)
            seen[name, writer.pid].append(int(number))
            comms.add(writer.comm)
        self.assertEqual(comms, {"writer"})
        # Each line has its own process, each process its lines in the order of its writes.
        self.assertEqual(len(seen), 64)
        for numbers in seen.values():
            self.assertEqual(numbers, list(range(1500)))

    def test_64_writers_of_64_kib_lines(self):
        # More than PIPE_BUF: the kernel mixes them page by page, and so must the log.
        self.many(64, 4, 65536)

    def test_64_writers_of_different_ways(self):
        script = "for i in $(seq 64); do (echo start $i; writer turns 40; cat /f; echo end $i) & done; wait"
        container = self.docker.run("sh", "-c", f"seq 300 >/f; {script}")
        self.compare_ended(container)


class ControlledTestCase(TortureTestCase):
    def controlled(self, driver="json-file"):
        """A container whose only process writes what it is told."""
        puppet = self.puppet()
        container = self.docker.start(*puppet.argv("writer", "/ctl"), driver=driver,
                                      options=("-v", f"{puppet.directory}:/ctl"))
        pid = int(self.docker("inspect", "-f", "{{.State.Pid}}", container).stdout)
        self.assertEqual(puppet.do("say", 1, "begin"), 6)
        wait_until(lambda: (self.twinlog.directory(container) / "container.json").exists(), "it is captured")
        # Not one of the runtime's helpers that were in its cgroup before it.
        self.assertEqual(self.twinlog.info(container)["init_pid"], pid)
        return puppet, container, pid

    def followed(self, container):
        """A follower of ours, once it has shown the container's first line."""
        for _ in range(1000):
            follower = self.twinlog.follow(container)
            line = read_line(follower.stdout)
            if line:
                self.assertEqual(line, b"begin\n")
                self.addCleanup(follower.communicate)
                self.addCleanup(follower.kill)
                return follower
            follower.communicate()
        return self.fail("no line ever came")

    def shim_of(self, pid):
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return int(file.read().rsplit(") ", 1)[1].split()[1])


class Outsiders(ControlledTestCase):
    """Others than the container's own processes and its runtime, or these in trouble."""

    def test_a_rewriter(self):
        """A tool on the host writes into the container's stdout, between and amid its lines."""
        puppet, container, pid = self.controlled()
        with open(f"/proc/{pid}/fd/1", "wb", buffering=0) as stdout, \
             open(f"/proc/{pid}/fd/2", "wb", buffering=0) as stderr:
            for i in range(200):
                puppet.do("say", 1, f"line {i}")
                stdout.write(b'{"enriched":"line %d"}\n' % i)
                puppet.do("put", 1, f"half {i} ")
                os.writev(stdout.fileno(), [b"amid ", b"", b"it\n"])
                stderr.write(b"\0" * 30 + b"\n")
                puppet.do("send", 1, 100, i)
        puppet.end()
        self.assertEqual(self.docker.wait(container), 0)
        entries = self.compare_ended(container)
        by = {line: writer_of(e) for e in entries for line in [e.line]}
        self.assertEqual(by[b'{"enriched":"line 7"}'].pid, os.getpid())
        self.assertEqual(by[b"line 7"].pid, pid)
        self.assertEqual(by[b"line 7"].ns_pid, 1)

    def test_a_container_that_steals_its_own_output(self):
        """What it takes out of its own pipe the driver never gets. The log has both, nothing else."""
        puppet = self.puppet()
        # All is read and written by lines of 64 bytes, so no reader tears one.
        container = self.docker.run(
            "sh", "-c", "(dd bs=640 count=500 </proc/1/fd/1 >/ctl/stolen 2>/dev/null; touch /done) & "
            "while [ ! -e /done ]; do writer burst 1000 64; done",
            options=("-v", f"{puppet.directory}:/ctl"))
        with open(f"{puppet.directory}/stolen", "rb") as file:
            stolen = file.read()
        self.assertGreater(len(stolen), 500)
        ours = collections.Counter(self.twinlog.whole_logs(container)[0].splitlines())
        got = collections.Counter(self.docker.logs(container)[0].splitlines())
        self.assertEqual(ours, got + collections.Counter(stolen.splitlines()))
        self.check_positions(self.twinlog.entries(container))

    def test_a_reader_that_is_stuck(self):
        puppet, container, pid = self.controlled()
        follower = self.followed(container)
        shim = self.shim_of(pid)
        stop_process(shim)
        try:
            puppet.do("say", 1, "stuck")
            self.assertEqual(puppet.do("block", 1, 50000, 0), 50000)
            puppet.do("say", 2, "stuck, too")
            # The runtime has none of it yet.
            self.assertEqual(read_line(follower.stdout), b"stuck\n")
            for i in range(1000):
                self.assertEqual(read_line(follower.stdout)[:10], b"%09d " % i)
        finally:
            os.kill(shim, signal.SIGCONT)
        for i in range(100):
            puppet.do("say", 1, f"after {i}")
        stop_process(shim)
        puppet.do("put", 1, "stuck again, ")
        puppet.do("send", 1, 1000, 5000)
        puppet.do("say", 1, "and more")
        os.kill(shim, signal.SIGCONT)
        puppet.end()
        self.assertEqual(self.docker.wait(container), 0)
        self.compare_ended(container)

    def test_claimed_reads_while_the_reader_is_stuck(self):
        """Its last lines lie in the pipe when a container claims that their reader was told the end."""
        puppet = self.puppet()
        os.mkfifo(f"{puppet.directory}/go")
        container = self.docker.start("sh", "-c", "echo begin; read go </ctl/go; exec writer reads-exchanged",
                                      options=("-v", f"{puppet.directory}:/ctl"))
        follower = self.followed(container)
        shim = self.shim_of(self.twinlog.info(container)["init_pid"])
        stop_process(shim)
        try:
            with open(f"{puppet.directory}/go", "wb", buffering=0) as go:
                go.write(b"\n")
            shown = []
            while not shown or shown[-1] != b"line 4 before the end\n":
                shown.append(read_line(follower.stdout))
                self.assertRegex(shown[-1], b"^line")
        finally:
            os.kill(shim, signal.SIGCONT)
        self.assertEqual(self.docker.wait(container), 0)
        self.compare_ended(container)

    def test_many_write_while_the_reader_is_stuck(self):
        """Of writes at the same time the pipe alone knows which came first."""
        puppet = self.puppet()
        for name in ("go", "wrote"):
            os.mkfifo(f"{puppet.directory}/{name}")
        container = self.docker.start(
            "sh", "-c", "echo begin; read go </ctl/go; writer many 64 60; echo >/ctl/wrote; read end </ctl/go",
            options=("-v", f"{puppet.directory}:/ctl"))
        follower = self.followed(container)
        pid = self.twinlog.info(container)["init_pid"]
        go = open(f"{puppet.directory}/go", "wb", buffering=0)
        # Nobody has to wait for room.
        with open(f"/proc/{pid}/fd/1", "wb", buffering=0) as stdout:
            fcntl.fcntl(stdout, fcntl.F_SETPIPE_SZ, 1 << 20)
        shim = self.shim_of(pid)
        stop_process(shim)
        try:
            # Long since stuck when they begin.
            with open(f"/proc/{pid}/fd/1", "wb", buffering=0) as stdout:
                stdout.write(b"stuck\n")
            self.assertEqual(read_line(follower.stdout), b"stuck\n")
            go.write(b"\n")
            with open(f"{puppet.directory}/wrote", "rb") as wrote:
                wrote.read()
            stuck = [read_line(follower.stdout) for _ in range(64 * 60)]
        finally:
            os.kill(shim, signal.SIGCONT)
        go.write(b"\n")
        go.close()
        self.assertEqual(self.docker.wait(container), 0)
        self.compare_ended(container)
        self.assertEqual(self.docker.logs(container)[0], b"begin\nstuck\n" + b"".join(stuck))

    def test_a_reader_that_is_killed(self):
        """What was in the pipe then dockerd never had."""
        puppet, container, pid = self.controlled()
        follower = self.followed(container)
        shim = self.shim_of(pid)
        stop_process(shim)
        puppet.do("say", 1, "in the pipe")
        puppet.do("block", 1, 30000, 0)
        puppet.do("put", 1, "to the last byte")
        self.assertEqual(read_line(follower.stdout), b"in the pipe\n")
        for i in range(600):
            self.assertEqual(read_line(follower.stdout)[:10], b"%09d " % i)
        os.kill(shim, signal.SIGKILL)
        follower.communicate()
        out, _ = self.twinlog.whole_logs(container)
        lines = out.split(b"\n")
        self.assertEqual(lines[:2], [b"begin", b"in the pipe"])
        self.assertEqual([int(line[:9]) for line in lines[2:-1]], list(range(600)))
        self.assertEqual(lines[-1], b"to the last byte")
        self.check_positions(self.twinlog.entries(container))
        self.assertEqual(self.docker.logs(container)[0], b"begin\n")


class Attach(ControlledTestCase):
    """A daemon that comes while a container is at work."""

    def test_in_the_middle_of_a_line(self):
        puppet, container, pid = self.controlled()
        puppet.do("put", 1, "begun long ago, ")
        wait_until(lambda: unread_in(pid) == 0, "the runtime has read it")
        late = self.daemon()
        puppet.do("say", 1, "ended now")
        puppet.do("say", 1, "next")
        puppet.end()
        self.docker.wait(container)
        self.assertEqual(late.whole_logs(container)[0], b"ended now\nnext\n")
        self.check_positions([e for e in late.entries(container) if e.source == "stdout"])
        self.compare_ended(container)

    def full_pipe(self, also_blocked):
        """With a runtime that is stuck."""
        puppet, container, pid = self.controlled()
        follower = self.followed(container)
        shim = self.shim_of(pid)
        stop_process(shim)
        try:
            self.assertEqual(puppet.do("block", 1, 65536, 0), 65536)
            if also_blocked:
                puppet.tell("block", 1, 200000, 5000)
                wait_until(lambda: harness.system_call(pid) == 1, "the writer is blocked")
            late = self.daemon()
        finally:
            os.kill(shim, signal.SIGCONT)
        if also_blocked:
            self.assertEqual(puppet.answer(), 200000)
        for i in range(10):
            puppet.do("say", 1, f"after {i}")
        puppet.end()
        self.docker.wait(container)
        follower.communicate()
        whole = b"".join(text_of(e) for e in self.compare_ended(container))
        self.assertSameBytes(late.whole_logs(container)[0], whole[len(b"begin\n"):], "stdout")
        entries = late.entries(container)
        self.check_positions(entries)
        self.assertEqual(writer_of(entries[-1])[:1] + writer_of(entries[-1])[2:], (pid, "writer", 1))

    def test_with_a_full_pipe(self):
        self.full_pipe(also_blocked=False)

    def test_with_a_blocked_writer(self):
        self.full_pipe(also_blocked=True)


class Who(TortureTestCase):
    def turns(self, *options):
        container = self.docker.run("writer", "turns", 100, options=options)
        entries = self.compare_ended(container)
        self.assertEqual(len(entries), 200)
        return container, entries

    def test_host_pid(self):
        _, entries = self.turns("--pid", "host")
        for entry in entries:
            name, pid = entry.line.decode().split()[:2]
            self.assertEqual(writer_of(entry), (int(pid), int(pid), name, int(pid)), entry.line)

    def test_own_pid_namespace(self):
        container, entries = self.turns()
        names = collections.defaultdict(set)
        for entry in entries:
            name, ns_pid = entry.line.decode().split()[:2]
            writer = writer_of(entry)
            self.assertEqual((writer.comm, writer.ns_pid), (name, int(ns_pid)), entry.line)
            self.assertEqual(writer.tid, writer.pid)
            names[name].add(writer.pid)
        init = self.twinlog.info(container)["init_pid"]
        self.assertEqual(names["first"], {init})
        self.assertEqual(len(names["second"]), 1)
        self.assertNotEqual(names["second"], {init})

    def test_logs_tell(self):
        container, _ = self.turns("--pid", "host")
        lines = self.twinlog.logs(container, "--writer")[0].decode().splitlines()
        self.assertEqual(len(lines), 200)
        for line in lines:
            self.assertRegex(line, r"^(first|second)\[(\d+)/\2\] \1 \2 (writes|sends) line \d+$")

    def test_threads(self):
        container = self.docker.run("writer", "threads")
        by_name = collections.defaultdict(set)
        for entry in self.compare_ended(container):
            writer = writer_of(entry)
            by_name[entry.line.split()[1]].add((writer.pid, writer.tid))
        pids = {pid for ids in by_name.values() for pid, _ in ids}
        self.assertEqual(len(pids), 1)
        for ids in by_name.values():
            self.assertEqual(len(ids), 1)
        self.assertEqual(len(set.union(*by_name.values())), len(by_name))


if __name__ == "__main__":
    harness.main()
