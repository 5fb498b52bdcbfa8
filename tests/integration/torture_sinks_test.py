"""Every kind of stdout, without a runtime: programs in pid namespaces of their own, and what came
out at the other end, or is in the file, as the reference."""

import collections
import ctypes
import json
import os
import pathlib
import pty
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

import harness
from harness import DaemonTestCase, TOOLS, gap_of, text_of, wait_until, writer_of

# Copied at the write, whatever is written to.
COPIED = {
    "powers": ("powers",),
    "forged": ("forged",),
    "writev": ("writev",),
    "pwritev2": ("pwritev2",),
    "far_segments": ("far-segments",),
    "mib": ("mib",),
    "nonblock": ("nonblock",),
    "signal": ("signal", "restart"),
    "efault": ("efault",),
    "cold_file": ("cold-file",),
    "untouched": ("untouched",),
    "paged_out": ("paged-out",),
    "uring_write": ("uring", "write"),
    "uring_fixed": ("uring", "fixed"),
    "uring_async": ("uring", "write", "async"),
    "uring_sqpoll": ("uring", "write", "sqpoll"),
    "aio": ("aio",),
    "aio_writev": ("aio", "writev"),
}
# Not copied: where no reader is seen these are gaps of the right length at the right place.
MOVED = {
    "sendfile": ("sendfile",),
    "splice_pipe": ("splice-pipe",),
    "uring_writev": ("uring", "writev"),
    "uring_splice": ("uring", "splice"),
    "unmapped": ("unmapped",),
}
SENT = {"messages": ("messages",), "uring_send": ("uring", "send")}  # to sockets alone
MOVED_BY_SENDFILE = sum([1, 2, 100, 4095, 4096, 4097, 10000, 16384, 65535, 65536, 65537, 200000, 1 << 20])


def drained(read):
    """All that read() gives until nothing more comes, taken by a thread: call the result for it."""
    pieces = []

    def take():
        while True:
            try:
                piece = read()
            except OSError:  # EIO: the end of a terminal
                return
            if not piece:
                return
            pieces.append(piece)

    thread = threading.Thread(target=take)
    thread.start()

    def all_of_it():
        thread.join(harness.DEADLINE)
        return b"".join(pieces)
    return all_of_it


class Sinks:
    """What a stdout can be: each gives a file descriptor to write to, which the caller closes, and a
    function that returns what came, once all writers are gone."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)

    def pipe(self):
        reader, writer = os.pipe()
        return writer, self.reading(reader)

    def reading(self, reader):
        come = drained(lambda: os.read(reader, 32768))

        def all_of_it():
            whole = come()
            os.close(reader)
            return whole
        return all_of_it

    def fifo(self):
        path = self.directory / "fifo"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(path, os.O_WRONLY)
        os.set_blocking(reader, True)
        return writer, self.reading(reader)

    def file(self, flags=0):
        path = self.directory / "file"
        return os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600), path.read_bytes

    def append(self):
        (self.directory / "file").write_bytes(b"what was there before\n")
        writer, whole = self.file(os.O_APPEND)
        return writer, lambda: whole()[len(b"what was there before\n"):]

    def unix(self):
        reader, writer = socket.socketpair()
        return writer.detach(), self.receiving(reader)

    def receiving(self, reader):
        come = drained(lambda: reader.recv(65536))

        def all_of_it():
            whole = come()
            reader.close()
            return whole
        return all_of_it

    def tcp(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            writer = socket.create_connection(server.getsockname())
            reader, _ = server.accept()
        return writer.detach(), self.receiving(reader)

    def terminal(self):
        master, slave = pty.openpty()
        return slave, self.reading(master)


SINKS = ("pipe", "fifo", "terminal", "file", "append", "unix", "tcp")
UNREAD = ("file", "append", "unix", "tcp")  # no end of them that could be seen being read
# The kernel refuses O_APPEND for what moves pages, and F_SETFL with O_NONBLOCK alone takes it away.
CANNOT = {("append", case) for case in ("sendfile", "splice_pipe", "uring_splice", "nonblock")}


def cgroup_mount():
    """Where cgroups of version 2 are, alone or beside those of version 1."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            return line.split()[4]
    return harness.cannot_run("no cgroup2 is mounted")


class SinkTestCase(DaemonTestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="twinlog-sink-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.sinks = Sinks(self.directory)

    def launch(self, argv, stdout, stderr=subprocess.DEVNULL):
        """A container as twinlog sees one: a process with a pid namespace and a cgroup of its own. It
        waits for a word on `gate`."""
        reader, gate = os.pipe()
        os.set_inheritable(reader, True)
        cgroup = pathlib.Path(tempfile.mkdtemp(prefix="sink-", dir=cgroup_mount()))
        # The descriptor is closed again before the program begins.
        process = subprocess.Popen(
            ["bash", "-c", f"echo $$ >{cgroup}/cgroup.procs; exec unshare --pid --fork --kill-child bash -c "
             f"""'read -r <&{reader}; exec {reader}<&-; exec "$0" "$@"' "$0" "$@" """, *map(str, argv)],
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, close_fds=False)
        os.close(reader)
        process.gate = os.fdopen(gate, "wb", buffering=0)
        process.id = cgroup.name
        self.addCleanup(self.end, process, cgroup)
        wait_until(lambda: self.info_of(process.id), "the process is captured")
        process.init = self.info_of(process.id)["init_pid"]
        return process

    def end(self, process, cgroup):
        process.gate.close()
        if process.poll() is None:
            process.kill()
        process.wait(harness.DEADLINE)
        wait_until(lambda: not (cgroup / "cgroup.procs").read_text(), "the cgroup is empty")
        cgroup.rmdir()

    def info_of(self, container):
        try:
            return self.twinlog.info(container)
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def entries_of(self, process, daemon=None):
        """All of them, once it has ended."""
        daemon = daemon or self.twinlog
        daemon.whole_logs(process.id)
        return daemon.entries(process.id)

    def run_in(self, sink, *argv):
        """Runs it with the sink as its stdout; its entries, and what came."""
        writer, whole = getattr(self.sinks, sink)()
        process = self.launch(argv, stdout=writer)
        os.close(writer)
        process.gate.write(b"go\n")
        status = process.wait(harness.DEADLINE)
        came = whole()
        if status == 77:
            harness.cannot_run(f"{argv[1:]} says that it cannot be run")
        self.assertEqual(status, 0, argv)
        return self.entries_of(process), came

    def check(self, entries, reference, stream="stdout"):
        """Entry by entry what came, gaps at their places; returns how many bytes they miss."""
        at = lost = 0
        for entry in entries:
            if not entry.source.endswith(stream):
                continue
            self.assertEqual(entry.extra.get(1000, [0])[0], at)
            gap = gap_of(entry)
            if gap is None:
                text = text_of(entry)
                self.assertSameBytes(text, reference[at:at + len(text)], f"{stream} from {at} on")
                at += len(text)
            else:
                at += gap
                lost += gap
        self.assertEqual(at, len(reference), f"length of {stream}")
        return lost


class Kinds(SinkTestCase):
    def copied(self, sink, case):
        entries, came = self.run_in(sink, TOOLS / "writer", *{**COPIED, **SENT}[case])
        self.assertGreater(len(came), 1000)
        self.assertEqual(self.check(entries, came), 0)

    def moved(self, sink, case):
        entries, came = self.run_in(sink, TOOLS / "writer", *{**MOVED, **SENT}[case])
        lost = self.check(entries, came)
        if sink not in UNREAD:
            self.assertEqual(lost, 0)
        elif case == "sendfile":
            self.assertEqual(lost, MOVED_BY_SENDFILE)

    def test_file_copy_file_range(self):
        entries, came = self.run_in("file", TOOLS / "writer", "copy-file-range")
        self.assertEqual(self.check(entries, came), MOVED_BY_SENDFILE)

    def concurrent(self, sink):
        entries, came = self.run_in(sink, TOOLS / "writer", "many", 16, 300, 80)
        # Nobody sees the order in which a file takes lines, but none is lost or torn.
        ours = collections.Counter(text_of(e) for e in entries)
        self.assertEqual(ours, collections.Counter(came.splitlines(keepends=True)))
        seen = collections.defaultdict(list)
        for entry in entries:
            seen[entry.line[:3]].append(int(entry.line[3:9]))
        for numbers in seen.values():
            self.assertEqual(numbers, list(range(300)))

    def test_dev_null(self):
        writer = os.open("/dev/null", os.O_WRONLY)
        reader, stderr = os.pipe()
        process = self.launch([TOOLS / "writer", "efault"], stdout=writer, stderr=stderr)
        os.close(writer)
        os.close(stderr)
        listed = self.twinlog("ps").stdout.decode()
        self.assertTrue(any(line.startswith(process.id[:12]) and "/dev/null" in line
                            for line in listed.splitlines()), listed)
        self.assertEqual(self.info_of(process.id)["streams"]["stdout"]["kind"], "null")
        process.gate.write(b"go\n")
        process.wait(harness.DEADLINE)
        os.close(reader)
        self.assertEqual(self.entries_of(process), [])

    def test_both_the_same_file(self):
        for sink in ("file", "append", "pipe", "unix"):
            with self.subTest(sink):
                writer, whole = getattr(self.sinks, sink)()
                process = self.launch([TOOLS / "writer", "interleaved", 500], stdout=writer, stderr=writer)
                os.close(writer)
                process.gate.write(b"go\n")
                self.assertEqual(process.wait(harness.DEADLINE), 0)
                entries, came = self.entries_of(process), whole()
                self.assertEqual({e.source for e in entries}, {"stdout"})
                self.assertEqual(self.check(entries, came), 0)
                self.assertEqual(came.count(b"\n"), 500)
                (pathlib.Path(self.directory) / "file").unlink(missing_ok=True)

    def replaced(self, sink):
        """Only what goes into the file that was stdout at the start is output."""
        script = ('exec 5>&1; echo one; exec >"$0"; echo elsewhere; exec >&5; echo two; exec >&-; '
                  'echo nowhere; exec >&5; echo three; exec 1>/dev/null; echo void; echo four >&5; '
                  '(exec 6>&5 5>&-; echo five >&6)')
        if sink not in ("unix", "tcp", "file"):  # those cannot be opened again, or not at their end
            script += '; echo six >>/dev/fd/5'
        entries, came = self.run_in(sink, "bash", "-c", script, f"{self.directory}/other")
        self.assertEqual(self.check(entries, came), 0)
        self.assertEqual(came.split()[:5], [b"one", b"two", b"three", b"four", b"five"])


def _add(function, sink, case, *arguments):
    def test(self):
        getattr(self, function)(sink, *arguments)
    test.__name__ = f"test_{sink}_{case}"
    setattr(Kinds, test.__name__, test)


for _sink in SINKS:
    _add("replaced", _sink, "replaced")
    for _case in COPIED:
        if (_sink, _case) not in CANNOT:
            _add("copied", _sink, _case, _case)
    for _case in MOVED:
        if (_sink, _case) not in CANNOT:
            _add("moved", _sink, _case, _case)
for _sink in ("unix", "tcp"):
    _add("copied", _sink, "messages", "messages")
    _add("moved", _sink, "uring_send", "uring_send")
for _sink in UNREAD:
    _add("concurrent", _sink, "concurrent")


class Steered(SinkTestCase):
    """Step by step, with the other end in this process."""

    def start(self, stdout):
        puppet = self.puppet()
        process = self.launch(puppet.argv(), stdout=stdout)
        process.gate.write(b"go\n")
        return puppet, process

    def finish(self, puppet, process):
        puppet.end()
        self.assertEqual(process.wait(harness.DEADLINE), 0)
        return self.entries_of(process)

    def test_log_rotation_of_the_file(self):
        path = pathlib.Path(self.directory) / "file"
        for flags in (os.O_APPEND, 0):
            with self.subTest(append=bool(flags)):
                written = b""

                def block(number):
                    self.assertEqual(puppet.do("say", 1, f"before {number}"), 9)
                    self.assertEqual(puppet.do("block", 1, 5000, number), 5000)
                    return b"before %d\n" % number

                fd, _ = self.sinks.file(flags)
                puppet, process = self.start(fd)
                os.close(fd)
                block(1)
                written += path.read_bytes()
                shutil.copy(path, f"{path}.1")
                os.truncate(path, 0)  # copytruncate
                block(2)
                written += path.read_bytes().lstrip(b"\0")  # without O_APPEND the file has a hole now
                path.rename(f"{path}.2")  # create: the process writes on into the old one
                path.write_bytes(b"another file\n")
                at = os.path.getsize(f"{path}.2")
                block(3)
                written += pathlib.Path(f"{path}.2").read_bytes()[at:]
                os.unlink(f"{path}.2")
                block(4)  # into a file that has no name any more
                entries = self.finish(puppet, process)
                text = b"".join(text_of(e) for e in entries)
                self.assertSameBytes(text[:len(written)], written, "until the file was deleted")
                self.assertTrue(text[len(written):].startswith(b"before 4\n000000004 "))
                self.assertEqual(len(text), 4 * (9 + 5000))
                self.assertEqual(written.count(b"\nbefore "), 2)
                path.unlink()

    def many(self, writers, lines, take):
        """Runs concurrent writers whose pipe one thread empties by take(reader, file)."""
        reader, writer = os.pipe()
        process = self.launch([TOOLS / "writer", "many", writers, lines, 60], stdout=writer)
        os.close(writer)
        got = tempfile.TemporaryFile()
        whole = drained(lambda: take(reader, got.fileno()) or None)
        process.gate.write(b"go\n")
        self.assertEqual(process.wait(harness.DEADLINE), 0)
        whole()
        os.close(reader)
        got.seek(0)
        with got:
            return self.entries_of(process), got.read().splitlines()

    def swaps(self, entries, came):
        """Neighbours in the pipe that the log has the other way round."""
        place = {line: index for index, line in enumerate(came)}
        order = [place[e.line] for e in entries]
        self.assertEqual(sorted(order), list(range(len(came))))
        return sum(1 for a, b in zip(order, order[1:]) if a > b)

    def test_order_without_and_with_a_reader_that_is_seen(self):
        def copy(reader, file):
            piece = os.read(reader, 32768)
            os.write(file, piece)
            return piece

        for writers in (2, 8, 64):
            lines = 64000 // writers
            # A reader that splices shows lengths alone: the order is that of the writes' returns.
            entries, came = self.many(writers, lines, lambda reader, file: b"x" * os.splice(reader, file, 1 << 16))
            before = self.swaps(entries, came)
            entries, came = self.many(writers, lines, copy)
            after = self.swaps(entries, came)
            print(f"  ({writers} writers, {len(came)} lines: {before} swaps seen from the writers' side, "
                  f"{after} with the reader's)", flush=True)
            self.assertEqual(after, 0)

    def test_several_readers(self):
        reader, writer = os.pipe()
        process = self.launch([TOOLS / "writer", "burst", 40000, 64], stdout=writer)
        os.close(writer)
        wholes = [drained(lambda: os.read(reader, 4096)) for _ in range(3)]
        process.gate.write(b"go\n")
        self.assertEqual(process.wait(harness.DEADLINE), 0)
        parts = [whole() for whole in wholes]
        os.close(reader)
        came = collections.Counter(line for part in parts for line in part.splitlines())
        entries = self.entries_of(process)
        self.assertEqual(collections.Counter(e.line for e in entries), came)
        self.assertEqual(len(entries), 40000)

    def test_a_reader_that_reads_and_splices(self):
        reader, writer = os.pipe()
        process = self.launch([TOOLS / "writer", "burst", 20000, 64], stdout=writer)
        os.close(writer)
        got = tempfile.TemporaryFile()

        def take(turn=iter(range(1 << 40))):
            if next(turn) % 100 < 50:
                return b"x" * os.splice(reader, got.fileno(), 4096)
            piece = os.read(reader, 4096)
            os.write(got.fileno(), piece)
            return piece

        whole = drained(take)
        process.gate.write(b"go\n")
        self.assertEqual(process.wait(harness.DEADLINE), 0)
        whole()
        os.close(reader)
        got.seek(0)
        with got:
            self.assertEqual(self.check(self.entries_of(process), got.read()), 0)

    def test_someone_who_looks_with_tee(self):
        """tee(2) takes nothing out: what it shows must not be counted as read."""
        reader, writer = os.pipe()
        puppet, process = self.start(writer)
        os.close(writer)
        libc = ctypes.CDLL(None, use_errno=True)
        came = b""
        for number in range(20):
            puppet.do("block", 1, 3000, number * 60)
            seen, copy = os.pipe()
            self.assertEqual(libc.tee(reader, copy, 65536, 2), 3000)
            self.assertEqual(len(os.read(seen, 65536)), 3000)
            os.close(seen)
            os.close(copy)
            came += os.read(reader, 65536)
        entries = self.finish(puppet, process)
        os.close(reader)
        self.assertEqual(self.check(entries, came), 0)

    def test_a_reader_that_goes(self):
        reader, writer = os.pipe()
        puppet, process = self.start(writer)
        os.close(writer)
        puppet.do("say", 1, "first")
        came = os.read(reader, 100)
        puppet.do("block", 1, 2000, 0)
        came += os.read(reader, 777)
        puppet.do("block", 1, 3000, 40)
        os.close(reader)
        self.assertEqual(puppet.do("say", 1, "nobody's"), "Broken pipe")
        entries = self.finish(puppet, process)
        text = b"".join(text_of(e) for e in entries)
        self.assertSameBytes(text[:len(came)], came, "what was read")
        self.assertEqual([int(line[:9]) for line in text.splitlines()[1:]], list(range(100)))
        self.check(entries, text)

    def test_a_late_daemon_by_pid(self):
        """In the middle of a line, with bytes in the pipe, with a writer that waits for room."""
        reader, writer = os.pipe()
        puppet, process = self.start(writer)
        os.close(writer)
        puppet.do("put", 1, "begun long ago, ")
        os.read(reader, 100)
        puppet.do("put", 1, "in the pipe, ")
        puppet.tell("block", 1, 100000, 0)
        wait_until(lambda: harness.system_call(process.init) == 1, "the writer is blocked")
        late = self.daemon("--pid", process.init)
        whole = drained(lambda: os.read(reader, 5000))
        self.assertEqual(puppet.answer(), 100000)
        puppet.do("send", 1, 1000, 2000)
        puppet.do("say", 1, "end")
        entries_of_first = self.finish(puppet, process)
        came = whole()
        os.close(reader)
        entries = self.entries_of(process, late)
        self.assertEqual(late.logs(process.id)[0], came)
        self.assertEqual(self.check(entries, came), 0)
        self.assertEqual(writer_of(entries[-1])[0], process.init)
        self.assertEqual(self.check(entries_of_first, b"begun long ago, " + came), 0)

    def test_a_late_daemon_by_pid_that_finds_no_stdout(self):
        process = subprocess.Popen(["bash", "-c", "exec >&-; read; echo to stderr >&2"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: not os.path.exists(f"/proc/{process.pid}/fd/1"), "its stdout is closed")
        late = self.daemon("--pid", process.pid)
        self.assertEqual(process.communicate(b"go\n")[1], b"to stderr\n")
        self.assertEqual(late.whole_logs(f"pid-{process.pid}"), (b"", b"to stderr\n"))


if __name__ == "__main__":
    harness.main()
