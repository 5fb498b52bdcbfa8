"""Step by step, with the other end of a program's stdout in this process: files that are rotated,
readers that splice, read together, look, go or come late."""

import collections
import ctypes
import os
import pathlib
import select
import shutil
import subprocess
import tempfile

import harness
from harness import TOOLS, read_line, text_of, wait_until, writer_of
from sinks import SinkTestCase, drained


class Steps(SinkTestCase):
    def start(self, stdout):
        puppet = self.puppet()
        process = self.launch(puppet.argv(), stdout=stdout)
        process.gate.write(b"go\n")
        return puppet, process

    def start_into_pipe(self):
        reader, writer = os.pipe()
        puppet, process = self.start(writer)
        os.close(writer)
        return reader, puppet, process

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

    def test_a_reader_that_splices_from_now_on(self):
        """Only the first write after the read counts on being read."""
        reader, puppet, process = self.start_into_pipe()
        got = tempfile.TemporaryFile()
        puppet.do("say", 1, "read")
        os.write(got.fileno(), os.read(reader, 100))
        puppet.do("block", 1, 60, 0)
        self.assertEqual(os.splice(reader, got.fileno(), 65536), 60)
        for number in range(1, 5):
            puppet.do("block", 1, 30000, 600 * number)
            self.assertEqual(os.splice(reader, got.fileno(), 65536), 30000)
        entries = self.finish(puppet, process)
        os.close(reader)
        got.seek(0)
        with got:
            self.assertEqual(self.check(entries, got.read()), 0)

    def test_a_reader_that_asks_for_nothing(self):
        """That it gets nothing then says nothing of an end."""
        reader, puppet, process = self.start_into_pipe()
        puppet.do("say", 1, "read")
        came = os.read(reader, 100)
        puppet.do("block", 1, 60, 0)
        self.assertEqual(os.read(reader, 0), b"")
        entries = self.finish(puppet, process)
        came += os.read(reader, 100)
        os.close(reader)
        self.assertEqual(self.check(entries, came), 0)

    def test_someone_who_looks_with_tee(self):
        """tee(2) takes nothing out: what it shows must not be counted as read."""
        reader, puppet, process = self.start_into_pipe()
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
        reader, puppet, process = self.start_into_pipe()
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

    def test_a_fifo_whose_writers_come_and_go(self):
        """Its reader is told of an end, and then there is more."""
        for name in ("fifo", "go", "again"):
            os.mkfifo(f"{self.directory}/{name}")
        reader = os.open(f"{self.directory}/fifo", os.O_RDONLY | os.O_NONBLOCK)
        stdout = os.open(f"{self.directory}/fifo", os.O_WRONLY)
        os.set_blocking(reader, True)
        script = 'echo one; exec >&-; read -r <"$0/go"; echo two >"$0/fifo"; read -r <"$0/again"; echo three >"$0/fifo"'
        process = subprocess.Popen(["bash", "-c", "read -r; " + script, self.directory],
                                   stdin=subprocess.PIPE, stdout=stdout)
        self.addCleanup(process.communicate)
        os.close(stdout)
        daemon = self.daemon("--pid", process.pid)
        follower = daemon.follow(f"pid-{process.pid}")
        process.stdin.write(b"go\n")
        process.stdin.close()
        self.assertEqual(os.read(reader, 100), b"one\n")
        self.assertEqual(os.read(reader, 100), b"")
        self.assertEqual(read_line(follower.stdout), b"one\n")
        pathlib.Path(self.directory, "go").write_text("\n")
        wait_until(lambda: select.select([reader], [], [], 0)[0] and os.read(reader, 100) == b"two\n", "the second")
        pathlib.Path(self.directory, "again").write_text("\n")
        self.assertEqual(process.wait(harness.DEADLINE), 0)
        # Nobody has read this one.
        self.assertEqual(read_line(follower.stdout), b"two\n")
        self.assertEqual(read_line(follower.stdout), b"three\n")
        os.close(reader)
        follower.communicate()
        self.check(daemon.entries(f"pid-{process.pid}"), b"one\ntwo\nthree\n")

    def test_a_late_daemon_by_pid(self):
        """In the middle of a line, with bytes in the pipe, with a writer that waits for room."""
        reader, puppet, process = self.start_into_pipe()
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
