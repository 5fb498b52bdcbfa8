"""What the integration tests stand on: a dockerd and a twinlog of their own, and independent readers
of log files. Waiting is always for an event (a process that ends, a line that comes); the deadlines
only keep a broken program from hanging the tests."""

import collections
import gzip
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TWINLOG = os.environ.get("TWINLOG", str(ROOT / "build/release/user/cli/twinlog"))
TOOLS = pathlib.Path(os.environ.get("TOOLS", str(ROOT / "build/release/tests/tools")))
IMAGE = "bb"
DEADLINE = 60


def cannot_run(reason):
    """Skips the test, or fails it in CI, where nothing may be skipped."""
    if os.environ.get("TWINLOG_CI") == "1":
        raise AssertionError(f"this must not be skipped in CI: {reason}")
    raise unittest.SkipTest(reason)


def need_32_bit():
    """A kernel may be built or booted without 32-bit programs: no package changes that, so it is a
    skip in CI too. The kernels in QEMU (scripts/test --kernels) all have them."""
    program = TOOLS / "writer32"
    if not program.exists():
        cannot_run("no 32-bit compiler: apt-get install gcc-multilib")
    try:
        run(program, "write", "1")
    except OSError as error:
        raise unittest.SkipTest(f"this kernel runs no 32-bit programs: {error.strerror}") from None


def run(*argv, check=True, timeout=DEADLINE, **options):
    """A finished process with bytes in .stdout and .stderr."""
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n"
                             f"{done.stderr.decode(errors='replace')}")
    return done


def library(function, *arguments, within=()):
    """Runs a function of scripts/lib.sh, so that there is one way to start a dockerd."""
    return run(*within, "bash", "-euo", "pipefail", "-c", '. "$0"; "$@"', ROOT / "scripts/lib.sh", function,
               *arguments, timeout=120)


def bpftool(*arguments):
    return json.loads(run("bpftool", "-j", *arguments).stdout)


def read_line(pipe, deadline=DEADLINE):
    """The next line of an unbuffered pipe; b'' at its end."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([pipe], [], [], deadline)[0]:
            raise AssertionError(f"no line within {deadline} s, only {line!r}")
        byte = os.read(pipe.fileno(), 1)
        if not byte:
            break
        line += byte
    return line


def wait_until(holds, what):
    """For what nothing tells of."""
    deadline = time.monotonic() + DEADLINE
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DEADLINE} s: {what}")
        time.sleep(0.002)


def stop_process(pid):
    """SIGSTOP, and until it has come to all threads: the one that it is given to may have to wait for a
    processor, and the others go on meanwhile."""
    os.kill(pid, signal.SIGSTOP)

    def stopped():
        try:
            return all("T" == status.read_text().rsplit(") ", 1)[1][0]
                       for status in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"))
        except OSError:
            return False  # a thread has ended meanwhile

    wait_until(stopped, f"process {pid} has stopped")


def naming_hierarchy():
    """The mount of the cgroups by whose names containers are known: version 1's memory groups, or
    version 2."""
    memory = pathlib.Path("/sys/fs/cgroup/memory")
    return memory if (memory / "cgroup.procs").exists() else pathlib.Path("/sys/fs/cgroup")


def system_call(pid):
    """The number of the call in which the process sleeps, None while it runs."""
    text = pathlib.Path(f"/proc/{pid}/syscall").read_text().split()
    return int(text[0]) if text and text[0] not in ("running", "-1") else None


class Dockerd:
    def __init__(self, *options, within=()):
        """options: dockerd's; within: a command that runs its arguments, in which it is started."""
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-docker-"))
        self.directory.chmod(0o711)  # for containers whose root is nobody here
        self.socket = self.directory / "docker.sock"
        self.options, self.within = options, within
        self.launch()
        try:
            tools = [TOOLS / name for name in ("writer", "writer32") if (TOOLS / name).exists()]
            library("import_image", self.socket, IMAGE, *tools)
        except BaseException:
            self.stop()
            raise

    def launch(self):
        library("start_dockerd", self.directory, *self.options, within=self.within)

    def end(self):
        """The daemon alone; what its containers do then depends on its options."""
        library("stop_dockerd", self.directory)

    def stop(self):
        ids = self("ps", "-aq").stdout.split()
        if ids:
            self("rm", "-f", *[i.decode() for i in ids], check=False, timeout=120)
        self.end()
        library("remove_dockerd_dir", self.directory)

    def __call__(self, *arguments, **options):
        return run("docker", "-H", f"unix://{self.socket}", *arguments, **options)

    def popen(self, *arguments, **options):
        return subprocess.Popen(["docker", "-H", f"unix://{self.socket}", *map(str, arguments)], **options)

    def start(self, *command, driver="json-file", options=()):
        """The id of a new container that runs the command."""
        done = self("run", "-d", "--network", "none", "--log-driver", driver, *options, IMAGE, *command)
        return done.stdout.decode().strip()

    def wait(self, container, timeout=DEADLINE):
        return int(self("wait", container, timeout=timeout).stdout)

    def run(self, *command, **options):
        """The id of a container that has run the command to its end."""
        container = self.start(*command, **options)
        self.wait(container)
        return container

    def logs(self, container):
        done = self("logs", container)
        return done.stdout, done.stderr

    def exec(self, container, script, **options):
        return self("exec", container, "sh", "-c", script, **options)

    def tell(self, container, script):
        """The same where the container may end for it: `docker exec` would wait for ever for an end that
        dockerd has missed."""
        self("exec", "-d", container, "sh", "-c", script, check=False)

    def container_directory(self, container):
        return self.directory / "data/containers" / container


class Twinlog:
    """A daemon with a store of its own, ready when the constructor returns. A store that is given is
    the caller's to remove."""

    launcher = ()  # what starts it

    def __init__(self, *options, store=None):
        self.store = pathlib.Path(store or tempfile.mkdtemp(prefix="twinlog-store-"))
        self.removes_store = store is None
        self.process = None
        self.messages = tempfile.TemporaryFile()
        self.start(*options)

    def start(self, *options):
        self.messages.close()
        self.messages = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [*self.launcher, TWINLOG, "run", "--store", str(self.store), *map(str, options)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = []
        while True:
            line = read_line(self.process.stderr)
            said.append(line.decode(errors="replace"))
            if not line:
                self.process.wait(DEADLINE)
                raise AssertionError(f"twinlog run ended with {self.process.returncode}: {''.join(said)}")
            if b"ready: capturing " in line:
                self.ready_line = line.decode()
                break
        # From here on nothing reads the pipe in step with the daemon: a process of its own does.
        self.drain = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=self.messages)
        self.process.stderr.close()

    def stop(self, kill_signal=signal.SIGTERM):
        """Ends the daemon and returns its exit status."""
        if self.process is None:
            return None
        self.process.send_signal(kill_signal)
        status = self.process.wait(DEADLINE)
        self.drain.wait(DEADLINE)
        self.process = None
        return status

    def pins(self):
        """The directory where its maps and programs are pinned: `about` has its process id."""
        for path in pathlib.Path("/sys/fs/bpf").glob("twinlog-*"):
            value = bpftool("map", "lookup", "pinned", path / "about", "key", "0", "0", "0", "0")["value"]
            if int.from_bytes(bytes(int(byte, 0) for byte in value[4:8]), "little") == self.process.pid:
                return path
        raise AssertionError("the daemon has no pins")

    def close(self):
        self.stop()
        self.messages.close()
        # What it was told to keep, or left when it was killed.
        self("stop", "--discard", check=False)
        if self.removes_store:
            shutil.rmtree(self.store)

    def said(self):
        self.messages.seek(0)
        return self.messages.read().decode(errors="replace")

    def __call__(self, command, *arguments, **options):
        return run(TWINLOG, command, "--store", self.store, *arguments, **options)

    def logs(self, container, *options):
        """stdout and stderr of `twinlog logs` as they are now."""
        done = self("logs", *options, container)
        return done.stdout, done.stderr

    def whole_logs(self, container, *options):
        """The same once the container has ended and all of it is in the files: a follow ends then."""
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                done = self("logs", "-f", *options, container, check=False)
            except subprocess.TimeoutExpired as expired:
                raise AssertionError(f"{expired}\n{self.state(container)}") from None
            unknown = b"No such container" in done.stderr
            if not unknown or time.monotonic() > deadline:
                break  # else its first record is still on its way from kernel to store
        if done.returncode != 0:
            raise AssertionError(f"twinlog logs -f {container}: exit {done.returncode}: "
                                 f"{done.stderr.decode(errors='replace')}\n{self.state(container)}")
        return done.stdout, done.stderr

    def wait_until_known(self, container):
        """From then on its log can be read and followed: before, there is no such container."""
        wait_until((self.directory(container) / "container.json").exists, f"the first record of {container}")

    def state(self, container):
        """What a failed test is explained with: the daemon's last words and the store's contents."""
        info = self.directory(container) / "container.json"
        listing = run("ls", "-la", self.store / "containers", check=False).stdout.decode()
        return (f"the daemon said:\n{self.said()[-3000:]}\n"
                f"container.json:\n{info.read_text() if info.exists() else 'none'}\n{listing[-2000:]}")

    def follow(self, container, *options):
        return subprocess.Popen([TWINLOG, "logs", "--store", str(self.store), "-f", *options, container],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def directory(self, container):
        """Of a container by its id, or of a process by `pid-PID`, whose id goes on with its start."""
        exact = self.store / "containers" / container
        found = exact.exists() or list(exact.parent.glob(f"{container}-*"))
        return exact if found is True or not found else found[0]

    def info(self, container):
        return json.loads((self.directory(container) / "container.json").read_text())

    def entries(self, container):
        return local_entries(self.directory(container) / "container-cached.log")


# One entry as a Docker driver stores it. partial is None or (ordinal, last); extra holds the fields
# from 1000 on, by number, as raw values.
Entry = collections.namedtuple("Entry", "source time line partial extra")


def _fields(message):
    """Decodes one level of protobuf: number -> list of ints or bytes."""
    found, at = collections.defaultdict(list), 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while at < len(message):
        tag = varint()
        if tag & 7 == 0:
            found[tag >> 3].append(varint())
        elif tag & 7 == 2:
            size = varint()
            if at + size > len(message):
                raise ValueError("a field is longer than its message")
            found[tag >> 3].append(message[at:at + size])
            at += size
        elif tag & 7 in (1, 5):
            size = 8 if tag & 7 == 1 else 4
            found[tag >> 3].append(int.from_bytes(message[at:at + size], "little"))
            at += size
        else:
            raise ValueError(f"wire type {tag & 7}")
    return found


def file_set(path):
    """The files of a rotated log, oldest first. After a crash a number may have no file, or two."""
    found = {0: path}
    for file in path.parent.glob(path.name + ".*"):
        number, compressed = file.name[len(path.name) + 1:].removesuffix(".gz"), file.suffix == ".gz"
        if number.isdigit() and not (compressed and int(number) in found):
            found[int(number)] = file
    return [found[number] for number in sorted(found, reverse=True)]


def frames(data):
    """The protobuf messages of a file in Docker's local format, framing checked."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at:at + 4], "big")
        end = at + 4 + size
        if data[end:end + 4] != data[at:at + 4]:
            raise ValueError(f"length before and after the entry at {at} differ")
        yield data[at + 4:end]
        at = end + 4


def entries_of(file):
    """All entries of one file in Docker's local format (moby daemon/logger/local), written apart from
    the program's own reader."""
    entries = []
    data = gzip.open(file).read() if file.suffix == ".gz" else file.read_bytes()
    for message in frames(data):
        fields = _fields(message)
        partial = None
        if fields.get(4, [0])[0]:
            inner = _fields(fields[5][0])
            partial = (inner.get(3, [0])[0], bool(inner.get(1, [0])[0]))
        extra = {number: values for number, values in fields.items() if number >= 1000}
        entries.append(Entry(fields[1][0].decode(), fields.get(2, [0])[0],
                             bytes(fields.get(3, [b""])[0]), partial, extra))
    return entries


def local_entries(path):
    """The same of a rotated log."""
    return [entry for file in file_set(path) for entry in entries_of(file)]


def json_entries(path):
    """(stream, text with its newline) of each entry of a json-file log."""
    entries = []
    for line in path.read_bytes().splitlines():
        entry = json.loads(line)
        entries.append((entry["stream"], entry.get("log", "").encode()))
    return entries


def text_of(entry):
    """What `docker logs` prints for an entry."""
    return entry.line + (b"" if entry.partial and not entry.partial[1] else b"\n")


def gap_of(entry):
    """Bytes that are missing at this entry, None for one that has a line (field 1003 of
    twinlog_entry.proto)."""
    gap = entry.extra.get(1003)
    return _fields(gap[0]).get(1, [0])[0] if gap else None


# A process that has written, as its entries say.
LoggedWriter = collections.namedtuple("LoggedWriter", "pid tid comm ns_pid")


def writer_of(entry):
    """Field 1002 of twinlog_entry.proto; None where nobody is known."""
    if 1002 not in entry.extra:
        return None
    fields = _fields(entry.extra[1002][0])
    numbers = {number: fields.get(number, [0])[0] for number in (1, 2, 4)}
    return LoggedWriter(numbers[1], numbers[2], fields.get(3, [b""])[0].decode(), numbers[4])


class Puppet:
    """A process that writes what it is told, step by step (tests/tools/puppet.c). Two fifos lead to
    it, so it may run wherever their directory is seen."""

    SCRIPT = 'exec "$0" puppet <"$1/in" 3>"$1/out"'

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="twinlog-puppet-")
        ends = []
        for name in ("in", "out"):
            os.mkfifo(f"{self.directory}/{name}")
            # Open at both ends, which waits for nobody.
            ends.append(os.open(f"{self.directory}/{name}", os.O_RDWR))
        self.commands, self.answers = (os.fdopen(end, "r+b", buffering=0) for end in ends)

    def argv(self, program=None, directory=None):
        return ["sh", "-c", self.SCRIPT, str(program or TOOLS / "writer"), directory or self.directory]

    def tell(self, *words):
        self.commands.write(" ".join(map(str, words)).encode() + b"\n")

    def answer(self):
        """What the last call gave: a number of bytes, or the error."""
        result, text = read_line(self.answers).split(b" ", 1)
        return int(result) if int(result) >= 0 else text.decode().strip()

    def do(self, *words):
        self.tell(*words)
        return self.answer()

    def end(self):
        self.commands.close()

    def close(self):
        self.commands.close()
        self.answers.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class DaemonTestCase(unittest.TestCase):
    """One daemon for all tests of a class."""

    maxDiff = 2000
    daemon_class = Twinlog
    daemon_options = ()

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            cannot_run("needs root")
        if not (TOOLS / "writer").exists():
            raise AssertionError(f"{TOOLS}/writer is missing; build first")
        cls.before_daemon()
        cls.twinlog = cls.daemon_class(*cls.daemon_options)
        cls.addClassCleanup(cls.twinlog.close)

    @classmethod
    def before_daemon(cls):
        pass

    def puppet(self):
        puppet = Puppet()
        self.addCleanup(puppet.close)
        return puppet

    def daemon(self, *options):
        """A second one, for this test alone."""
        daemon = Twinlog(*options)
        self.addCleanup(daemon.close)
        return daemon

    def assertSameBytes(self, ours, reference, what):
        if ours == reference:
            return
        at = next((i for i, (a, b) in enumerate(zip(ours, reference)) if a != b),
                  min(len(ours), len(reference)))
        around = slice(max(0, at - 40), at + 60)
        self.fail(f"{what}: {len(ours)} bytes instead of {len(reference)}, first difference at {at}:\n"
                  f"  ours      {ours[around]!r}\n  reference {reference[around]!r}")

    def check_positions(self, entries):
        """Each entry begins where the one before it in its stream ended; nothing is missing."""
        at = {"stdout": 0, "stderr": 0}
        for entry in entries:
            self.assertIsNone(gap_of(entry))
            self.assertEqual(entry.extra.get(1000, [0])[0], at[entry.source])
            at[entry.source] += len(text_of(entry))


class DockerTestCase(DaemonTestCase):
    """The same with a dockerd, which is there before."""

    @classmethod
    def before_daemon(cls):
        cls.docker = Dockerd()
        cls.addClassCleanup(cls.docker.stop)

    def compare_ended(self, container, driver="json-file"):
        """What dockerd kept of a container that has ended and what twinlog kept of it."""
        out, err = self.twinlog.whole_logs(container)
        entries = self.twinlog.entries(container)
        directory = self.docker.container_directory(container)
        if driver == "json-file":
            expected_out, expected_err = self.docker.logs(container)
            reference = json_entries(directory / f"{container}-json.log")
            ours = [(e.source, text_of(e)) for e in entries]
        else:
            stored = local_entries(directory / "local-logs/container.log")
            expected_out, expected_err = (
                b"".join(text_of(e) for e in stored if e.source == s) for s in ("stdout", "stderr"))
            reference = [(e.source, (e.line, e.partial)) for e in stored]
            ours = [(e.source, (e.line, e.partial)) for e in entries]
        self.assertSameBytes(out, expected_out, "stdout")
        self.assertSameBytes(err, expected_err, "stderr")
        for stream in ("stdout", "stderr"):
            # The order between the streams is chance in dockerd.
            a = [text for source, text in ours if source == stream]
            b = [text for source, text in reference if source == stream]
            self.assertEqual(len(a), len(b), f"number of entries of {stream}")
            for index, (one, other) in enumerate(zip(a, b)):
                self.assertEqual(one, other, f"entry {index} of {stream}")
        self.check_positions(entries)
        return entries


def main():
    """unittest.main() whose exit status tells ctest when all was skipped."""
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.testsRun == len(result.skipped) else 0)
