"""Docker's own files, byte for byte. One dockerd writes the logs of containers, twinlog writes logs of
the same containers in the same formats; then they are compared, and dockerd is given ours to read.

May differ: times (twinlog's are those of the writes), the random ids of cut lines, and fields from
number 1000 on, which Docker's readers skip. What differs in nothing but these becomes equal by
normal_local() and normal_json(), which know nothing of the program's own code."""

import collections
import datetime
import os
import pathlib
import re
import shutil
import tempfile

import harness
import payloads
from harness import DockerTestCase, frames

MARK = b"== "
JSON_TIME = re.compile(rb'"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,8}[1-9])?Z)"\}$')
DRIVERS = ("json-file", "local")


def varint(message, at):
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def fields(message):
    """(number, value, bytes with the tag) of each field of a protobuf message, in its order."""
    at = 0
    while at < len(message):
        begin = at
        tag, at = varint(message, at)
        if tag & 7 == 0:
            value, at = varint(message, at)
        elif tag & 7 == 2:
            size, at = varint(message, at)
            value, at = message[at:at + size], at + size
            if len(value) != size:
                raise ValueError("a field reaches behind its message")
        else:
            raise ValueError(f"wire type {tag & 7} is none of Docker's fields")
        yield tag >> 3, value, message[begin:at]


# What remains of an entry, and its time.
Normal = collections.namedtuple("Normal", "bytes time")


def normal_local(data):
    """The entries of a file in Docker's local format, without what may differ."""
    entries, ids, highest = [], {}, 0
    for message in frames(data):
        kept, time = b"", 0
        for number, value, raw in fields(message):
            if number >= 1000:
                continue
            highest = max(highest, number)
            if number == 2:
                time = value
                raw = b"\x10<time of %d bytes>" % (len(raw) - 1)
            if number == 5:
                for inner, text, _ in fields(value):
                    if inner == 2:
                        if not re.fullmatch(rb"[0-9a-f]{64}", text):
                            raise ValueError(f"no id of a cut line: {text!r}")
                        raw = raw.replace(text, b"<id %d>" % ids.setdefault(text, len(ids)))
            kept += raw
        entries.append(Normal(kept, time))
    return entries


def unix_ns(text):
    """Of an RFC 3339 time in UTC."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.datetime.fromisoformat(whole + "+00:00")
    return int(moment.timestamp()) * 10**9 + int(fraction.ljust(9, "0"))


def normal_json(data):
    """The same of a json-file log."""
    if data and not data.endswith(b"\n"):
        raise ValueError("the last line is not complete")
    entries = []
    for line in data.split(b"\n")[:-1]:
        found = JSON_TIME.search(line)
        if not found:
            raise ValueError(f"no time as Docker writes it: {line[-80:]!r}")
        entries.append(Normal(line[:found.start()], unix_ns(found.group(1).decode())))
    return entries


def go_time(ns):
    seconds, fraction = divmod(ns, 10**9)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:09}Z".encode()


class Identity(DockerTestCase):
    daemon_options = ("--format", "local,json-file")

    @classmethod
    def before_daemon(cls):
        super().before_daemon()
        cls.files = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-payloads-"))
        cls.addClassCleanup(shutil.rmtree, cls.files)
        cls.lines, cls.ends = payloads.lines(), payloads.ends()
        for number, content in enumerate(cls.ends.values()):
            (cls.files / f"end{number}").write_bytes(content)
        with open(cls.files / "all", "wb") as file:
            for name, content in cls.lines.items():
                file.write(MARK + name.encode() + b"\n" + content)

    def start(self, script, driver, options=()):
        return self.docker.start("sh", "-c", script, driver=driver,
                                 options=("-v", f"{self.files}:/payloads:ro", *options))

    def theirs(self, container, driver):
        directory = self.docker.container_directory(container)
        return directory / ("local-logs/container.log" if driver == "local" else f"{container}-json.log")

    def ours(self, container, driver):
        name = "container-cached.log" if driver == "local" else f"{container}-json.log"
        return self.twinlog.directory(container) / name

    def ended(self, container):
        self.docker.wait(container)
        self.twinlog.whole_logs(container)
        return container

    def pairs(self, container, driver):
        """Ours and theirs of a container that has ended, as lists of Normal. Both formats are ours
        to write whatever the driver is; theirs is that of the driver."""
        normal = normal_local if driver == "local" else normal_json
        return (normal(self.ours(container, driver).read_bytes()),
                normal(self.theirs(container, driver).read_bytes()))

    def assertSameEntries(self, ours, theirs, what):
        for index, (mine, other) in enumerate(zip(ours, theirs)):
            self.assertSameBytes(mine.bytes, other.bytes, f"{what}, entry {index}")
        self.assertEqual(len(ours), len(theirs), f"{what}: number of entries")

    @staticmethod
    def by_payload(entries, mark):
        """Entries between the marks."""
        found, name = collections.defaultdict(list), None
        for entry in entries:
            at = entry.bytes.find(mark + MARK)
            if at >= 0:
                name = entry.bytes[at + len(mark) + len(MARK):]
            found[name].append(entry)
        return found

    def test_corpus_is_large(self):
        self.assertGreaterEqual(len(self.lines), 60)
        self.assertGreaterEqual(len(payloads.INVALID_UTF8), 20)

    def test_lines(self):
        """Each payload of the corpus, both formats, entry for entry."""
        for driver in DRIVERS:
            container = self.ended(self.start("cat /payloads/all", driver))
            ours, theirs = self.pairs(container, driver)
            mark = b'{"log":"' if driver == "json-file" else b""
            mine, other = self.by_payload(ours, mark), self.by_payload(theirs, mark)
            self.assertEqual(len(other), len(self.lines))
            for name in other:
                with self.subTest(driver=driver, payload=name):
                    self.assertSameEntries(mine[name], other[name], str(name))
            self.assertEqual(list(mine), list(other))
            self.assertEqual([e.bytes for e in ours], [e.bytes for e in theirs])
            # All pieces of a line have the time of the first.
            times = {}
            for entry in ours:
                found = re.search(rb"<id (\d+)>", entry.bytes)
                if found:
                    self.assertEqual(times.setdefault(found.group(1), entry.time), entry.time)
            self.assertEqual(len(times) > 20, driver == "local")

    def of_stream(self, entries, stream):
        """Which of two goroutines came first is chance in dockerd: each stream has its own order, and
        ids are numbered over both."""
        return [re.sub(rb"<id \d+>", b"<id>", entry.bytes) for entry in entries
                if b'"stream":"%s"' % stream in entry.bytes
                or entry.bytes.startswith(b"\x0a\x06" + stream)]

    def test_ends(self):
        """The end of both streams; containers at once, because each has but one end."""
        started = []
        for driver in DRIVERS:
            for number, name in enumerate(self.ends):
                script = f"cat /payloads/end{number}; cat /payloads/end{number} >&2"
                started.append((f"{name}, {driver}", driver, self.start(script, driver)))
        for what, driver, container in started:
            with self.subTest(what):
                ours, theirs = self.pairs(self.ended(container), driver)
                for stream in (b"stdout", b"stderr"):
                    self.assertEqual(self.of_stream(ours, stream), self.of_stream(theirs, stream))
                self.assertEqual(len(ours), len(theirs))

    def test_both_streams(self):
        script = ("i=0; while [ $i -lt 300 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done;"
                  "printf 'open out'; printf 'open err' >&2")
        for driver in DRIVERS:
            sides = self.pairs(self.ended(self.start(script, driver)), driver)
            for stream in (b"stdout", b"stderr"):
                ours, theirs = (self.of_stream(side, stream) for side in sides)
                self.assertEqual(len(theirs), 301)
                self.assertEqual(ours, theirs, (driver, stream))

    def test_terminal(self):
        script = "head -c 40000 /payloads/all; printf '\\nhalf a line'"
        for driver in DRIVERS:
            container = self.ended(self.start(script, driver, options=("-t",)))
            self.assertSameEntries(*self.pairs(container, driver), f"terminal, {driver}")

    def test_attributes(self):
        """Those that the container's log options ask for; the daemon knows them from dockerd's files."""
        labels = ("--label", "role=web <&> \"1\" \u2028", "--label", "quo\"te=a\tb", "--label", "other=x",
                  "-e", "COLOUR=red=dark", "-e", "COLD=yes", "-e", "SECRET=x")
        for what, options in {
                "lists": ("labels=role,quo\"te,none", "env=COLOUR,NONE"),
                "expressions": ("labels-regex=^(role|oth)", "env-regex=^COL"),
                "tag": ("tag={{.Name}}/{{.ID}} {{ .FullID }}, {{.ImageName}} {{.ImageID}} of {{.DaemonName}}",),
                "none": ()}.items():
            with self.subTest(what):
                opts = [word for option in options for word in ("--log-opt", option)]
                container = self.ended(self.start("cat /payloads/end2; echo; echo err >&2", "json-file",
                                                  (*labels, *opts)))
                sides = self.pairs(container, "json-file")
                ours, theirs = (collections.Counter(e.bytes for e in side) for side in sides)
                self.assertEqual(ours, theirs)
                self.assertEqual(b'"attrs":{' in sides[1][0].bytes, bool(options))
                self.assertNotIn(b"SECRET", sides[0][0].bytes)
                self.swap(container, "json-file")
                details = self.docker("logs", "--details", container)
                mine = self.twinlog("logs", "--details", "--docker-exact", container)
                self.assertEqual((details.stdout, details.stderr), (mine.stdout, mine.stderr))

    def test_attributes_by_the_daemon(self):
        """The daemon's own --labels, for containers whose driver has no such options."""
        daemon = self.daemon("--labels", "role")
        container = self.docker.run("echo", "hello", driver="none", options=("--label", "role=web"))
        daemon.whole_logs(container)
        self.assertEqual(daemon.logs(container, "--details")[0], b"role=web hello\n")

    # dockerd reads ours

    def swap(self, container, driver, change=lambda data: data):
        """Our file in the place of dockerd's own."""
        path = self.theirs(container, driver)
        data = change(self.ours(container, driver).read_bytes())
        path.unlink()
        path.write_bytes(data)

    def docker_chunks(self, container, times):
        """What `docker logs` prints for each entry of a log of one stream."""
        done = self.docker("logs", "-t", container)
        text, at, chunks = done.stdout + done.stderr, 0, []
        for index, time in enumerate(times):
            prefix = go_time(time) + b" "
            self.assertTrue(text.startswith(prefix, at), f"entry {index}: {text[at:at + 60]!r}, not {prefix!r}")
            end = len(text)
            if index + 1 < len(times):
                end = text.index(go_time(times[index + 1]) + b" ", at + len(prefix))
            chunks.append(text[at + len(prefix):end])
            at = end
        return chunks

    def test_dockerd_reads_ours(self):
        """The same before and after the swap, whatever is asked for."""
        script = "for i in 1 2 3 4 5 6; do cat /payloads/end$i; echo; done; cat /payloads/end9"
        for driver in DRIVERS:
            container = self.ended(self.start(script, driver))
            ours, theirs = self.pairs(container, driver)
            self.assertSameEntries(ours, theirs, driver)
            ways = [(), ("--details",), ("--tail", "all"), *(("--tail", n) for n in (0, 1, 2, 3, 7, 1000))]
            before = {way: self.docker("logs", *way, container).stdout for way in ways}
            chunks = self.docker_chunks(container, [e.time for e in theirs])
            self.swap(container, driver)
            for way in ways:
                self.assertSameBytes(self.docker("logs", *way, container).stdout, before[way], f"{driver} {way}")
            times = [e.time for e in ours]
            self.assertEqual(self.docker_chunks(container, times), chunks)
            for time in sorted(set(times)):
                since = self.docker("logs", "--since", f"{time // 10**9}.{time % 10**9:09}", container).stdout
                self.assertSameBytes(since, b"".join(c for c, t in zip(chunks, times) if t >= time), "since")
                until = self.docker("logs", "--until", f"{time // 10**9}.{time % 10**9:09}", container).stdout
                self.assertSameBytes(until, b"".join(c for c, t in zip(chunks, times) if t <= time), "until")

    def test_docker_exact(self):
        """`logs --docker-exact` of a file is what dockerd makes of it, odd or not."""
        long = "head -c %d /dev/zero | tr '\\0' x"
        # The pause sets times apart, which are bounds below.
        script = (f"{long % 16384}; echo; echo a; {long % 40000}; echo; {long % 20000}; echo b >&2; echo end;"
                  f"echo; {long % 20000}; sleep 0.1; echo c >&2; {long % 20000}; printf tail")
        for driver in DRIVERS:
            container = self.ended(self.start(script, driver))
            self.swap(container, driver)
            times = {e.time for e in normal_local(self.ours(container, "local").read_bytes())}
            bounds = [f"{time // 10**9}.{time % 10**9:09}" for time in times]
            for options in ((), ("-t",), ("--details",), ("--tail", "1"), ("--tail", "4"), ("--tail", "6", "-t"),
                            *((option, bound) for option in ("--since", "--until") for bound in bounds),
                            *(("--tail", "5", "--until", bound) for bound in bounds)):
                with self.subTest(driver=driver, options=options):
                    theirs = self.docker("logs", *options, container)
                    exact = self.twinlog("logs", "--docker-exact", *options, container)
                    self.assertSameBytes(exact.stdout, theirs.stdout, "stdout")
                    self.assertSameBytes(exact.stderr, theirs.stderr, "stderr")
            # Later versions lose no newline.
            newer = self.twinlog("logs", "--docker-exact=23", container).stdout
            self.assertSameBytes(newer, self.twinlog("logs", container).stdout, "23")

    def test_dockerd_reads_ours_of_both_streams(self):
        for driver in DRIVERS:
            container = self.ended(self.start("echo a; echo b >&2; printf c; printf d >&2", driver))
            before = self.docker.logs(container)
            self.swap(container, driver)
            self.assertEqual(self.docker.logs(container), before)

    def test_dockerd_passes_over_our_gaps(self):
        message = b"\x0a\x0agap-stdout\x10\x81\x80\x80\x80\x80\x80\x80\x80\x18\xda\x3e\x04\x08\x05\x10\x04"
        size = len(message).to_bytes(4, "big")
        gaps = {"local": size + message + size,
                "json-file": b'{"stream":"gap-stdout","lost":5,"reason":4,"run":1,"position":0,'
                             b'"time":"2026-11-24T00:00:00.000000001Z"}\n'}
        for driver in DRIVERS:
            container = self.ended(self.start("echo one; echo two", driver))
            before = self.docker.logs(container)
            self.swap(container, driver, lambda data: gaps[driver] + data + gaps[driver])
            self.assertEqual(self.docker.logs(container), before)
            own = self.twinlog.directory(container) / "container-cached.log"
            if driver == "local":
                own.write_bytes(self.theirs(container, driver).read_bytes())
                told = self.twinlog.logs(container)
                self.assertEqual(told[0], before[0])
                self.assertEqual(told[1].count(b"5 bytes lost here"), 2)

    def test_dockerd_reads_our_rotated_files(self):
        """Compressed ones, too, which it tells by their header."""
        container = self.ended(self.start("seq 1 20000", "local", ("--label", "twinlog.max-size=200k")))
        directory = self.twinlog.directory(container)
        # Who compresses has the lowest priority, which may be none at all.
        for thread in os.listdir(f"/proc/{self.twinlog.process.pid}/task"):
            os.setpriority(os.PRIO_PROCESS, int(thread), 0)
            harness.run("ionice", "-c", "2", "-p", thread)
        harness.wait_until(lambda: not [p for p in directory.iterdir() if re.search(r"log\.\d+$", p.name)],
                           "rotated files are compressed")
        rotated = list(directory.glob("container-cached.log.*.gz"))
        self.assertEqual(len(rotated), 4)
        # What remains of it.
        expected = self.twinlog.logs(container)[0]
        self.assertTrue(b"".join(b"%d\n" % i for i in range(1, 20001)).endswith(expected))
        self.swap(container, "local")
        for path in rotated:
            name = path.name.replace("container-cached.log", "container.log")
            shutil.copy(path, self.theirs(container, "local").with_name(name))
        self.assertSameBytes(self.docker.logs(container)[0], expected, "all files")
        self.assertEqual(self.docker("logs", "--tail", "9000", container).stdout,
                         self.twinlog.logs(container, "--tail", "9000")[0])
        self.assertEqual(self.docker("logs", "--since", "2100-01-01", container).stdout, b"")


if __name__ == "__main__":
    harness.main()
