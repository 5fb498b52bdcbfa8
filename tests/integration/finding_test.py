"""Finding lines: several containers at once, filters, other forms of output, what a terminal gets.
Other containers of the host may be captured, too, so nothing here counts on being alone."""

import json
import os
import pty
import re
import select
import subprocess

import harness
from harness import DockerTestCase, TWINLOG, read_line

# Answers each line that is put into /f until it is told to end.
ECHO = "mkfifo /f; exec 3<>/f; echo started; while read l <&3; do [ $l = end ] && break; echo got $l; done"
NONE = {"driver": "none"}
TIME = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z "


class Finding(DockerTestCase):
    def started(self, script, *options):
        """The id of a container that runs the script and whose first line is in the store."""
        container = self.docker.start("sh", "-c", script, options=options, **NONE)
        self.twinlog.wait_until_known(container)
        with self.twinlog.follow(container) as follower:
            line = read_line(follower.stdout)
            follower.kill()
        self.assertTrue(line, self.twinlog.state(container))
        return container

    def ended(self, script, *options):
        """The id of a container that has run the script and is wholly in the store."""
        container = self.docker.run("sh", "-c", script, options=options, **NONE)
        self.twinlog.whole_logs(container)
        return container

    def tell(self, container, word):
        tell = self.docker.tell if word == "end" else self.docker.exec
        tell(container, f"echo {word} >/f")

    def logs(self, *arguments, **options):
        return self.twinlog("logs", *arguments, **options)

    def out(self, *arguments):
        return self.logs(*arguments).stdout.decode()

    def follow(self, *arguments):
        process = subprocess.Popen([TWINLOG, "logs", "--store", str(self.twinlog.store), "-f", *arguments],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def terminal(self, *arguments, command=("logs", "--store"), **environment):
        """What `twinlog logs`, or another command, writes when standard output and error are a terminal."""
        if command[-1] == "--store":
            command = (*command, str(self.twinlog.store))
        leader, follower = pty.openpty()
        environment = {**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, "TERM": "xterm",
                       **environment}
        process = subprocess.Popen([TWINLOG, *command, *arguments],
                                   stdin=subprocess.DEVNULL, stdout=follower, stderr=follower,
                                   env=environment)
        os.close(follower)
        text = b""
        while select.select([leader], [], [], harness.DEADLINE)[0]:
            try:
                got = os.read(leader, 65536)
            except OSError:  # EIO: nobody has the other end any more
                break
            text += got
        os.close(leader)
        self.assertEqual(process.wait(harness.DEADLINE), 0)
        return text

    # Several containers

    def test_merged_by_time(self):
        web = self.started(ECHO, "--name", "merge-web")
        database = self.started(ECHO, "--name", "merge-database")
        both = ["merge-web", database]
        follower = self.follow(*both)
        expected = [b"merge-web       | started\n", b"merge-database  | started\n"]
        for line in expected:
            self.assertEqual(read_line(follower.stdout), line)
        for container, word in ((database, "1"), (web, "2"), (web, "3"), (database, "4")):
            self.tell(container, word)
            name = b"merge-web       | " if container == web else b"merge-database  | "
            expected.append(name + b"got " + word.encode() + b"\n")
            self.assertEqual(read_line(follower.stdout), expected[-1])
        # The end of one is not the end of all.
        self.tell(web, "end")
        self.docker.wait(web)
        self.tell(database, "5")
        expected.append(b"merge-database  | got 5\n")
        self.assertEqual(read_line(follower.stdout), expected[-1])
        self.tell(database, "end")
        self.assertEqual(follower.wait(harness.DEADLINE), 0)
        self.assertEqual(self.logs(*both).stdout, b"".join(expected))
        self.assertEqual(self.logs(*both, "merge-web").stdout, b"".join(expected))
        # One that is named twice is still one.
        self.assertEqual(self.out("merge-web", web), "started\ngot 2\ngot 3\n")
        self.assertEqual(self.out("-n", "1", *both), "merge-web       | got 3\nmerge-database  | got 5\n")
        timed = self.logs("-t", *both).stdout.splitlines()
        times = [re.fullmatch(rb"merge-\w+ +\| (" + TIME + rb").*", line)[1] for line in timed]
        self.assertEqual(times, sorted(times))

    def test_labels(self):
        shop = [self.ended(f"echo {n}", "--label", "finding=shop", "--label", f"n={n}", "--name", f"shop{n}")
                for n in (1, 2)]
        self.ended("echo 3", "--label", "finding=other", "--label", "n=2")
        self.assertEqual(self.out("--label", "finding=shop"), "shop1  | 1\nshop2  | 2\n")
        self.assertEqual(self.out("--label", "finding=shop", "--label", "n=2"), "shop2  | 2\n")
        self.assertEqual(len(self.out("--label", "n").splitlines()), 3)
        everything = self.logs("--all").stdout
        for line in (rb"shop1 +\| 1", rb"shop2 +\| 2"):
            self.assertRegex(everything, rb"(?m)^" + line + rb"$")
        # Containers of one name are told apart.
        self.docker("rm", shop[0])
        again = self.ended("echo 4", "--label", "finding=shop", "--name", "shop1")
        self.assertEqual(self.out("--label", "finding=shop"),
                         f"shop1/{shop[0][:12]}  | 1\nshop2               | 2\n"
                         f"shop1/{again[:12]}  | 4\n")

    def test_follow_finds_new_containers(self):
        follower = self.follow("--label", "finding=follow")
        first = self.started(ECHO, "--label", "finding=follow", "--name", "follow1")
        self.assertEqual(read_line(follower.stdout), b"follow1  | started\n")
        self.ended("echo unlabelled")
        second = self.started("echo short", "--label", "finding=follow", "--name", "follow22")
        self.assertEqual(read_line(follower.stdout), b"follow22  | short\n")
        self.docker.wait(second)
        self.tell(first, "end")
        self.docker.wait(first)
        # The one that ended starts again; what it said before is not said again.
        self.docker("start", first)
        self.assertEqual(read_line(follower.stdout), b"follow1   | started\n")
        self.tell(first, "on")
        self.assertEqual(read_line(follower.stdout), b"follow1   | got on\n")
        self.docker("rm", "-f", first)
        self.docker("start", second)
        self.assertEqual(read_line(follower.stdout), b"follow22  | short\n")
        self.assertIsNone(follower.poll())
        # Its reader goes away, and so does it.
        follower.stdout.close()
        self.assertEqual(follower.wait(harness.DEADLINE), 0)
        follower.stdout = None

    # Filters

    def test_grep(self):
        long = "dd if=/dev/zero bs=16380 count=1 2>/dev/null | tr '\\0' x; echo 'the Needle here'"
        container = self.ended(f"echo one; {long}; echo two; echo three; echo four >&2; printf 'five needle'")
        needle = "x" * 16380 + "the Needle here\n"
        self.assertEqual(self.out("--grep", "Needle", container), needle)
        self.assertEqual(self.out("--grep", "x{100}the N.* h", container), needle)
        self.assertEqual(self.out("--grep", "^the", container), "")
        self.assertEqual(self.out("-i", "--grep", "needle$|NEEDLE", container), needle + "five needle\n")
        self.assertEqual(self.out("--grep", "needle", "--invert", container), "one\n" + needle + "two\nthree\n")
        self.assertEqual(self.out("--grep", "^t", "-n", "1", container), "three\n")
        self.assertEqual(self.out("--grep", "^two", "-C", "1", container), needle + "two\nthree\n")
        self.assertEqual(self.out("--stdout", "--grep", "one|five", "-C", "1", container),
                         "one\n" + needle + "--\nthree\nfive needle\n")
        self.assertEqual(self.logs("--grep", "o", "--stderr", container).stderr, b"four\n")
        everything = self.out(container)
        self.assertEqual(self.out("--grep", "", "--stdout", container), everything + "\n")
        self.assertEqual(self.out("--grep=", "--invert", container), "")
        follower = self.follow("--grep", "five", container)
        self.assertEqual(follower.communicate(timeout=harness.DEADLINE), (b"five needle\n", b""))

    def test_line_that_is_too_long(self):
        """What its parts do to ^ and $ is told, once a log."""
        long = "dd if=/dev/zero bs=1M count=33 2>/dev/null | tr '\\0' x; echo"
        container = self.ended(f"{long}; {long}; echo short", "--name", "too-long")
        notice = b"twinlog: too-long: a line is longer than 16 MiB: each part of that size is taken for a line\n"
        for options in (("--grep", "^short"), ("--grep", "^x", "-o", "json")):
            self.assertEqual(self.logs(*options, container).stderr, notice)
        self.assertEqual(self.out("--grep", "^short", container), "short\n")
        self.assertEqual(self.logs("-n", "1", container).stderr, b"")

    def test_grep_while_following(self):
        container = self.started(ECHO)
        follower = self.follow("--grep", "got (2|4)", "-C", "1", "-n", "3", container)
        for word in ("1", "2", "3", "4", "5"):
            self.tell(container, word)
        for line in (b"got 1\n", b"got 2\n", b"got 3\n", b"got 4\n", b"got 5\n"):
            self.assertEqual(read_line(follower.stdout), line)
        self.tell(container, "end")
        self.assertEqual(follower.wait(harness.DEADLINE), 0)

    def test_streams(self):
        container = self.ended("for n in 1 2 3; do echo out $n; echo err $n >&2; done")
        for options, out, err in (((), b"123", b"123"), (("--stdout",), b"123", b""),
                                  (("--stderr",), b"", b"123"), (("--stdout", "--stderr"), b"123", b"123"),
                                  (("--stderr", "-n", "2"), b"", b"23"), (("--stdout", "-n", "1"), b"3", b"")):
            done = self.logs(*options, container)
            self.assertEqual(done.stdout, b"".join(b"out %c\n" % n for n in out), options)
            self.assertEqual(done.stderr, b"".join(b"err %c\n" % n for n in err), options)

    def test_writer(self):
        container = self.ended("echo by sh; writer write; echo again")
        shown = [re.fullmatch(r"(\S+)\[(\d+)/\d+\] (.*)", line)
                 for line in self.out("--writer", container).splitlines()]
        self.assertTrue(all(shown))
        self.assertEqual({found[1] for found in shown}, {"sh", "writer"})
        whole = self.out(container).splitlines()
        self.assertEqual([found[3] for found in shown], whole)
        for part in (1, 2):
            for wanted in {found[part] for found in shown}:
                self.assertEqual(self.out(f"--writer={wanted}", container).splitlines(),
                                 [found[0] for found in shown if found[part] == wanted])
        self.assertEqual(self.out("--writer=nobody", container), "")
        self.assertEqual(self.out("--writer=sh", "--grep", "again", "-o", "raw", container), "again\n")

    # Forms

    def test_json(self):
        script = (r"""printf 'a\377\033"\n'; echo err >&2; writer write >/dev/null; """
                  "dd if=/dev/zero bs=40000 count=1 2>/dev/null | tr '\\0' x; echo; printf tail")
        container = self.ended(script, "--name", "json-form")
        done = self.logs("-o", "json", container)
        self.assertEqual(done.stderr, b"")
        objects = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([o["line"] for o in objects if o["stream"] == "stdout"],
                         ["a\ufffd\x1b\"", "x" * 40000, "tail"])
        self.assertEqual([o["line"] for o in objects if o["stream"] == "stderr"], ["err"])
        position = {"stdout": 0, "stderr": 0}
        for o in objects:
            self.assertEqual((o["container"], o["name"], o["run"]), (container, "json-form", 1))
            self.assertRegex(o["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z$")
            self.assertEqual(o["position"], position[o["stream"]])
            size = 4 if o["line"].startswith("a") else len(o["line"])
            position[o["stream"]] += size + (1 if o.get("newline", True) else 0)
            self.assertGreater(o["writer"]["pid"], 1)
        self.assertEqual([o.get("pieces", 1) for o in objects if o["line"].startswith("x")], [3])
        self.assertEqual([o["line"] for o in objects if not o.get("newline", True)], ["tail"])

    def test_raw(self):
        script = r"printf 'a\000\377\r\n\nb'; printf '\033[31mred' >&2"
        container = self.ended(script)
        done = self.logs("-o", "raw", container)
        self.assertEqual((done.stdout, done.stderr), (b"a\0\xff\r\n\nb", b"\033[31mred"))
        # Into a pipe the short form is byte exact, too.
        done = self.logs(container)
        self.assertEqual((done.stdout, done.stderr), (b"a\0\xff\r\n\nb", b"\033[31mred"))

    def test_docker_exact(self):
        script = ("dd if=/dev/zero bs=40000 count=1 2>/dev/null | tr '\\0' x; echo; echo whole; "
                  "dd if=/dev/zero bs=16384 count=1 2>/dev/null | tr '\\0' y; echo; printf tail")
        container = self.docker.run("sh", "-c", script)
        self.twinlog.whole_logs(container)
        timeless = [re.sub(TIME, b"<time>", output) for output in (
            self.docker("logs", "-t", container).stdout, self.logs("-t", "--docker-exact", container).stdout,
            self.logs("-t", container).stdout)]
        self.assertSameBytes(timeless[1], timeless[0], "--docker-exact -t")
        self.assertEqual(timeless[0].count(b"<time>"), 7)
        self.assertEqual(timeless[2].count(b"<time>"), 4)
        for options in ((), ("--details",), ("--tail", "3"), ("--details", "--tail", "4")):
            reference = self.docker("logs", *options, container).stdout
            self.assertSameBytes(self.logs("--docker-exact", *options, container).stdout, reference, options)

    # Terminals and pagers

    def test_terminal(self):
        container = self.ended(r"printf '\033]0;title\007\302\233m\tcaf\303\251 \\ \033[31mred\n'; echo x",
                               "--name", "on-a-terminal")
        safe = rb"\x1b]0;title\x07\u009bm" + "\tcafé \\ ".encode() + rb"\x1b[31mred"
        self.assertEqual(self.terminal(container), safe + b"\r\nx\r\n")
        for options in (("-o", "json"), ("-o", "json", "--grep", "title")):
            shown = self.terminal(*options, container)
            self.assertNotRegex(shown, rb"\033|\302\233")
            self.assertEqual(json.loads(shown.splitlines()[0])["line"],
                             "\033]0;title\007\x9bm\tcafé \\ \033[31mred")
        self.assertIn(b"\033]0;title\007\302\233m", self.terminal("--raw", container))
        self.assertIn(b"\033]0;title\007\302\233m", self.terminal("-o", "raw", container))
        self.assertEqual(self.terminal("--grep", "red", container),
                         safe[:-3] + b"\033[1;31mred\033[0m\r\n")
        self.assertEqual(self.terminal("--grep", "red", container, NO_COLOR="1"), safe + b"\r\n")
        other = self.ended("echo y", "--name", "on-another")
        coloured = self.terminal(container, other)
        self.assertRegex(coloured, rb"\033\[\d+mon-a-terminal  \| \033\[0mx\r\n\033\[\d+mon-another     \| \033\[0my\r\n")
        self.assertNotIn(b"\033", self.terminal(container, other, NO_COLOR="1"))

    def test_terminal_of_trace(self):
        program = ("--", "printf", r"\033]0;title\007caf\303\251\r\n\377x\ntail\r")
        safe = r"\x1b]0;title\x07café".encode() + b"\r\r\n" + rb"\xffx" + b"\r\n" + rb"tail\r"
        self.assertEqual(self.terminal(*program, command=("trace",)), safe)
        self.assertIn(safe[:20], self.terminal("-t", *program, command=("trace",)))
        self.assertIn(b"\033]0;title\007", self.terminal("--raw", *program, command=("trace",)))

    def test_trace_keeps_the_order_of_both_streams(self):
        """Where both are one file, as on a terminal."""
        words = [f"{stream} {n}" for n in range(5) for stream in ("out", "err")]
        script = "; ".join(f"echo {word}" + (" >&2" if "err" in word else "") for word in words)
        for options in ((), ("--writer",)):
            for _ in range(5):
                done = harness.run("sh", "-c", 'exec "$@" 2>&1', "sh", TWINLOG, "trace", *options, "--",
                                   "sh", "-c", script)
                shown = [re.sub(r"^\S+\[\d+/\d+\] ", "", line) for line in done.stdout.decode().splitlines()]
                self.assertEqual(shown, words)

    def test_pager_that_is_left(self):
        container = self.ended("seq 100000")
        for options in ((), ("--grep", "1"), ("-o", "json"), ("--all",)):
            process = subprocess.Popen([TWINLOG, "logs", "--store", self.twinlog.store, *options,
                                        *(() if "--all" in options else (container,))],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            read_line(process.stdout)
            process.stdout.close()
            said = process.stderr.read()
            process.stderr.close()
            self.assertEqual(process.wait(harness.DEADLINE), 0, options)
            if "--all" not in options:
                self.assertEqual(said, b"", options)

    # What is wrong

    def test_errors(self):
        container = self.ended("echo x")
        for arguments, status, words in (
                ((container, "nosuch"), 1, ("No such container: nosuch", "twinlog ps -a")),
                (("--label", "finding=nosuch"), 1, ("No container with label: finding=nosuch",)),
                (("--label", "=x"), 2, ('invalid value for "label"', "=x", "key=value")),
                (("--grep", "a(b", container), 2, ("a(b", "missing )")),
                ((), 2, ("CONTAINER", "--all")),
                (("--docker-exact", "--grep", "x", container), 2, ("--docker-exact", "--grep"))):
            done = self.logs(*arguments, check=False)
            said = done.stderr.decode()
            self.assertEqual((done.returncode, done.stdout, said.count("\n")), (status, b"", 1), said)
            for word in words:
                self.assertIn(word, said)
        for arguments in (("-i", container), ("-C", "-1", "--grep", "x", container),
                          ("-o", "xml", container)):
            self.assertEqual(self.logs(*arguments, check=False).returncode, 2, arguments)


if __name__ == "__main__":
    harness.main()
