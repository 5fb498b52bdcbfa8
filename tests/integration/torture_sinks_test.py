"""Every kind of stdout, and every way into it. Where no reader can be seen, bytes that are not copied
at the write are gaps of the right length, and nothing else is."""

import collections
import os
import pathlib
import subprocess

import harness
from harness import TOOLS, gap_of, text_of
from sinks import SinkTestCase

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

SINKS = ("pipe", "fifo", "terminal", "file", "append", "unix", "tcp")
UNREAD = ("file", "append", "unix", "tcp")  # no end of them that could be seen being read
# The kernel refuses O_APPEND for what moves pages, and F_SETFL with O_NONBLOCK alone takes it away.
CANNOT = {("append", case) for case in ("sendfile", "splice_pipe", "uring_splice", "nonblock")}
# Without O_APPEND each request of aio says where, and these all say the beginning.
CANNOT |= {("file", "aio"), ("file", "aio_writev")}
# Calls that fail on such a stdout, as the kernel's answer shows.
REFUSED = {("append", case) for case in ("sendfile", "splice-pipe", "copy-file-range")}
REFUSED |= {(sink, "copy-file-range") for sink in ("pipe", "fifo", "unix", "tcp", "terminal")}
REFUSED |= {(sink, case) for sink in ("file", "unix", "tcp", "terminal") for case in ("tee", "vmsplice")}
REFUSED |= {(sink, "messages") for sink in ("pipe", "fifo", "file", "terminal")}


class Kinds(SinkTestCase):
    def copied(self, sink, case):
        entries, came = self.run_in(sink, TOOLS / "writer", *{**COPIED, **SENT}[case])
        self.assertGreater(len(came), 40)
        self.assertEqual(self.check(entries, came), 0)

    def moved(self, sink, case):
        entries, came = self.run_in(sink, TOOLS / "writer", *{**MOVED, **SENT}[case])
        self.assertGreater(len(came), 40)
        lost = self.check(entries, came)
        if sink not in UNREAD:
            self.assertEqual(lost, 0)
        elif case == "sendfile":
            self.assertEqual(lost, MOVED_BY_SENDFILE)
        # What is written between them in the usual way is there.
        self.assertLess(lost, len(came))

    def test_file_copy_file_range(self):
        entries, came = self.run_in("file", TOOLS / "writer", "copy-file-range")
        self.assertEqual(self.check(entries, came), MOVED_BY_SENDFILE)

    def test_unix_buffers(self):
        """Of a call that names a million of them few are walked through, and the rest of it is counted."""
        entries, came = self.run_in("unix", TOOLS / "writer", "buffers")
        self.assertEqual(came, b"a line\n" * 1024)
        lost = self.check(entries, came)
        self.assertGreater(lost, 0)
        self.assertLessEqual(lost, len(b"a line\n") * (1024 - 16))

    def test_what_the_kernel_refuses(self):
        """Ways that need no capture, because there are none."""
        for sink, case in sorted(REFUSED):
            with self.subTest(sink=sink, case=case):
                writer, whole = getattr(self.sinks, sink)()
                done = subprocess.run([TOOLS / "writer", case], stdout=writer, stderr=subprocess.PIPE, check=False)
                os.close(writer)
                self.assertEqual(done.returncode, 3)
                self.assertRegex(done.stderr, b"(Invalid argument|Bad file descriptor|not a socket|non-socket)")
                self.assertLess(whole().count(b"\n"), 2)
                (pathlib.Path(self.directory) / "file").unlink(missing_ok=True)
                (pathlib.Path(self.directory) / "fifo").unlink(missing_ok=True)

    def changing(self, sink):
        """Another thread rewrites the buffer between the copy that the kernel makes and the one that is
        made when the call returns. The length is right; the bytes cannot be."""
        entries, came = self.run_in(sink, TOOLS / "writer", "changing", 4)
        text = b"".join(text_of(e) for e in entries)
        self.assertEqual(len(text), len(came))
        self.assertEqual([gap_of(e) for e in entries if gap_of(e)], [])
        self.assertEqual(text.count(b"is done\n"), 4)
        differ = sum(1 for a, b in zip(text, came) if a != b)
        print(f"  ({differ} of {len(came)} bytes differ)", flush=True)

    def test_file_in_memory(self):
        """No call puts bytes into a file that is mapped: nothing can be told of them."""
        path = pathlib.Path(self.directory) / "file"
        path.write_bytes(b"")
        writer = os.open(path, os.O_RDWR)
        script = ("import mmap, os; os.write(1, b'by a call\\n' * 2); m = mmap.mmap(1, 20); m[:10] = b'in memory\\n'; "
                  "m.flush(); os.write(1, b'by another\\n')")
        process = self.launch(["python3", "-c", script], stdout=writer)
        os.close(writer)
        process.gate.write(b"go\n")
        self.assertEqual(process.wait(harness.DEADLINE), 0)
        self.assertEqual(path.read_bytes(), b"in memory\nby a call\nby another\n")
        self.check(self.entries_of(process), b"by a call\nby a call\nby another\n")

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
        words = [b"one", b"two", b"three", b"four", b"five"]
        if sink not in ("unix", "tcp", "file"):  # those cannot be opened again, or not at their end
            script += '; echo six >>/dev/fd/5'
            words.append(b"six")
        entries, came = self.run_in(sink, "bash", "-c", script, f"{self.directory}/other")
        self.assertEqual(self.check(entries, came), 0)
        self.assertEqual(came.split(), words)


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
    _add("changing", _sink, "changing")


if __name__ == "__main__":
    harness.main()
