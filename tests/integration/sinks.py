"""What a program's stdout can be, and containers without a runtime that write to it: what came out at
the other end, or is in the file, is the reference."""

import json
import os
import pathlib
import pty
import shutil
import socket
import subprocess
import tempfile
import threading

import harness
from harness import DaemonTestCase, gap_of, text_of, wait_until


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


def cgroup_mount():
    """Where cgroups of version 2 are, alone or beside those of version 1."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            return line.split()[4]
    return harness.cannot_run("no cgroup2 is mounted")


def remove_cgroup(cgroup):
    wait_until(lambda: not (cgroup / "cgroup.procs").read_text(), "the cgroup is empty")
    cgroup.rmdir()


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
        remove_cgroup(cgroup)

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
