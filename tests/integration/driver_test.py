"""The reason for twinlog: containers whose logs dockerd cannot or does not show, containers that were
there first, short ones, restarted ones; and what is said where bytes are missing."""

import os
import re
import shutil
import subprocess
import time
import unittest

import harness
from harness import DockerTestCase, Twinlog, read_line

UNREADABLE = b"configured logging driver does not support reading"
SYSLOG = {"driver": "syslog", "options": ("--log-opt", "syslog-address=udp://127.0.0.1:1",
                                          "--log-opt", "cache-disabled=true")}
FLUENTD = {"driver": "fluentd", "options": ("--log-opt", "fluentd-async=true",
                                            "--log-opt", "fluentd-address=127.0.0.1:1",
                                            "--log-opt", "fluentd-max-retries=1",
                                            "--log-opt", "fluentd-retry-wait=10ms",
                                            "--log-opt", "cache-disabled=true")}
NONE = {"driver": "none", "options": ()}

# Answers each line that is put into /f until it is told to end.
ECHO = "mkfifo /f; exec 3<>/f; echo started; while read l <&3; do [ $l = end ] && break; echo got $l; done"


class Drivers(DockerTestCase):
    def unreadable(self, kind):
        container = self.docker.run("sh", "-c", "echo hello world; echo to stderr >&2; printf end", **kind)
        refused = self.docker("logs", container, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(UNREADABLE, refused.stderr)
        self.assertEqual(self.twinlog.whole_logs(container), (b"hello world\nend", b"to stderr\n"))

    def test_syslog(self):
        self.unreadable(SYSLOG)

    def test_fluentd(self):
        self.unreadable(FLUENTD)

    def test_none(self):
        self.unreadable(NONE)

    def test_local_and_default_cache(self):
        for driver in ("local", "json-file"):
            container = self.docker.run("writer", "write", driver=driver)
            self.assertEqual(self.twinlog.whole_logs(container), self.docker.logs(container))

    def test_by_name_id_and_prefix(self):
        container = self.docker.run("echo", "named", driver="none", options=("--name", "web-1"))
        for name in ("web-1", container, container[:12]):
            self.assertEqual(self.twinlog.whole_logs(name)[0], b"named\n")
        listed = self.twinlog("ps", "-a").stdout.decode()
        row = next(line for line in listed.splitlines() if container[:12] in line)
        self.assertIn("web-1", row)
        self.assertIn("none", row)

    def test_two_hundred_short_containers(self):
        for n in range(200):
            self.docker("run", "--network", "none", "--log-driver", "none", "--name", f"short{n}", harness.IMAGE,
                        "echo", str(n))
        for n in range(200):
            self.assertEqual(self.twinlog.whole_logs(f"short{n}"), (f"{n}\n".encode(), b""), f"container {n}")

    def test_follow_ends_with_the_container(self):
        container = self.docker.start("sh", "-c", ECHO, **NONE)
        self.twinlog.wait_until_known(container)
        follower = self.twinlog.follow(container)
        self.assertEqual(read_line(follower.stdout), b"started\n")
        self.docker.exec(container, "echo one >/f")
        self.assertEqual(read_line(follower.stdout), b"got one\n")
        self.docker.tell(container, "echo end >/f")
        rest, errors = follower.communicate(timeout=harness.DEADLINE)
        self.assertEqual((rest, errors, follower.returncode), (b"", b"", 0))

    def test_ends_when_the_container_does(self):
        """Not with a helper of the runtime that was in its cgroup before its program."""
        for options in ((), ("--init",), ("--pid", "host"), ("-t",)):
            with self.subTest(options=options):
                container = self.docker.start("sh", "-c", ECHO, driver="none", options=options)
                # The container has run its program by then.
                self.docker.exec(container, "echo one >/f")
                asked = time.time_ns()
                self.docker.tell(container, "echo end >/f")
                self.docker.wait(container)
                self.twinlog.whole_logs(container)
                info = self.twinlog.info(container)
                self.assertTrue(info["from_start"])
                self.assertEqual(info["run"], 1)
                self.assertGreater(info["ended_ns"], asked)
                self.assertLess(info["started_ns"], asked)

    def test_exec_is_not_the_log(self):
        container = self.docker.start("sh", "-c", ECHO, **NONE)
        own = self.docker.exec(container, "echo of the exec; echo aside >/proc/1/fd/1; echo oops >/proc/1/fd/2")
        self.assertEqual(own.stdout, b"of the exec\n")
        self.docker.tell(container, "echo end >/f")
        self.docker.wait(container)
        out, err = self.twinlog.whole_logs(container)
        # `started` may come on either side of what the exec wrote.
        self.assertEqual(sorted(out.splitlines()), [b"aside", b"started"])
        self.assertEqual(err, b"oops\n")

    def test_restart_is_one_log(self):
        script = ("n=$(cat /count 2>/dev/null || echo 0); echo $((n+1)) >/count; echo run $n; "
                  "exec tail -f /dev/null")
        container = self.docker.start("sh", "-c", script)
        for expected in (b"run 0\n", b"run 1\n", b"run 2\n"):
            follower = self.docker.popen("logs", "-f", container, stdout=subprocess.PIPE)
            while read_line(follower.stdout) != expected:
                self.assertIsNone(follower.poll(), "the container ended by itself")
            follower.kill()
            follower.communicate()
            if expected != b"run 2\n":
                self.docker("restart", "-t", "0", container)
        self.docker("kill", container)
        self.docker.wait(container)
        self.assertEqual(self.twinlog.whole_logs(container)[0], b"run 0\nrun 1\nrun 2\n")

    def test_dockerd_reads_our_file(self):
        for case in ("write", "bytes", "empty-lines", "stdio"):
            container = self.docker.run("writer", case, driver="local")
            ours = self.twinlog.whole_logs(container)
            theirs = self.docker.container_directory(container) / "local-logs/container.log"
            os.unlink(theirs)
            shutil.copy(self.twinlog.directory(container) / "container-cached.log", theirs)
            self.assertEqual(self.docker.logs(container), ours, case)
            self.assertEqual(self.docker("logs", "--tail", "3", container).stdout,
                             self.twinlog.logs(container, "--tail", "3")[0], case)

    def test_our_file_is_protobuf(self):
        container = self.docker.run("writer", "sizes", driver="none")
        self.twinlog.whole_logs(container)
        data = (self.twinlog.directory(container) / "container-cached.log").read_bytes()
        proto = harness.ROOT / "user/format/twinlog_entry.proto"
        message = re.search(r"^message (\w*Entry)\b", proto.read_text(), re.M).group(1)
        package = re.search(r"^package ([\w.]+);", proto.read_text(), re.M)
        name = f"{package.group(1)}.{message}" if package else message
        frames = list(harness.frames(data))
        self.assertGreater(len(frames), 20)
        for frame in frames[:20]:
            decoded = subprocess.run(["protoc", f"--proto_path={proto.parent}", f"--decode={name}", str(proto)],
                                     input=frame, capture_output=True, check=True).stdout.decode()
            self.assertIn('source: "stdout"', decoded)
            self.assertNotRegex(decoded, r"(?m)^\s*\d+: ", "a field that the .proto does not name")

    def test_sendfile_is_seen_by_its_reader(self):
        # busybox cat sends files without a copy in its memory.
        script = ("head -c 100000 /dev/zero | tr '\\0' x >/file; echo before; cat /file; echo; echo after")
        container = self.docker.run("sh", "-c", script, **NONE)
        self.assertEqual(self.twinlog.whole_logs(container), (b"before\n" + 100000 * b"x" + b"\nafter\n", b""))
        self.assertEqual(self.twinlog.info(container)["streams"]["stdout"]["lost"], 0)

    def test_burst_under_a_dead_remote(self):
        options = [o for o in FLUENTD["options"] if o != "cache-disabled=true"]
        del options[-1]  # the --log-opt before it: dockerd keeps its own cache here
        container = self.docker.run("writer", "burst", "100000", "501", driver="fluentd", options=options)
        out, err = self.twinlog.whole_logs(container)
        self.assertEqual(err, b"")
        lines = out.splitlines()
        self.assertEqual(len(lines), 100000)
        for number, line in enumerate(lines):
            if len(line) != 500 or int(line[:9]) != number:
                self.fail(f"line {number} is {line[:40]!r}, {len(line)} bytes")
        theirs = self.docker.logs(container)[0].count(b"\n")
        print(f"  (dockerd's own cache kept {theirs} of 100000 lines)", flush=True)


class Attach(DockerTestCase):
    """The daemon comes second, or is told what to capture, or goes first."""

    def second_daemon(self, *options):
        daemon = Twinlog(*options)
        self.addCleanup(daemon.close)
        return daemon

    def first_line(self, container):
        """Waits until the container has said something, by a log that dockerd does keep."""
        follower = self.docker.popen("logs", "-f", container, stdout=subprocess.PIPE)
        line = read_line(follower.stdout)
        follower.kill()
        follower.communicate()
        return line

    def test_already_running(self):
        container = self.docker.start("sh", "-c", ECHO)
        self.assertEqual(self.first_line(container), b"started\n")
        late = self.second_daemon()
        self.docker.tell(container, "echo one >/f; echo end >/f")
        self.docker.wait(container)
        self.assertEqual(late.whole_logs(container), (b"got one\n", b""))

    def test_only_named_containers(self):
        daemon = self.second_daemon("--container", "wanted")
        wanted = self.docker.run("echo", "yes", options=("--name", "wanted"))
        other = self.docker.run("echo", "no", options=("--name", "other"))
        self.assertEqual(daemon.whole_logs(wanted)[0], b"yes\n")
        refused = daemon("logs", other, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"No such container", refused.stderr)

    def test_plain_process_by_pid(self):
        process = subprocess.Popen(
            ["sh", "-c", 'while read l; do echo "out $l"; echo "err $l" >&2; done'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.addCleanup(process.wait)
        daemon = self.second_daemon("--pid", process.pid)
        for word in (b"one\n", b"two\n"):
            process.stdin.write(word)
            self.assertEqual(read_line(process.stdout), b"out " + word)
            self.assertEqual(read_line(process.stderr), b"err " + word)
        self.assertEqual(daemon.stop(), 0)
        process.stdin.close()
        process.stdout.close()
        process.stderr.close()
        (name,) = os.listdir(daemon.store / "containers")
        self.assertEqual(daemon.logs(name), (b"out one\nout two\n", b"err one\nerr two\n"))

    def test_trace_of_a_command(self):
        script = "echo out; echo err >&2; printf 'no newline'; exit 7"
        done = harness.run(harness.TWINLOG, "trace", "--", "sh", "-c", script, check=False)
        self.assertEqual(done.returncode, 7)
        self.assertEqual(done.stdout, b"out\nno newline")
        self.assertEqual(done.stderr, b"err\n")

    def test_trace_of_one_writer(self):
        # The line that both wrote is of the one that ended it, however long it is.
        script = ("echo shell; printf '%020000d' 0; awk 'BEGIN { print \" of awk\" }'; printf open; "
                  "awk 'BEGIN { print \" line\" }' >&2; echo; echo shell again")
        whole = harness.run(harness.TWINLOG, "trace", "--", "sh", "-c", script)
        shown = harness.run(harness.TWINLOG, "trace", "--writer=awk", "--", "sh", "-c", script)
        self.assertIn(b"0 of awk\nopen\nshell again\n", whole.stdout)
        self.assertRegex(shown.stdout, rb"^awk\[\d+/\d+\] 0{20000} of awk\n$")
        self.assertRegex(shown.stderr, rb"^awk\[\d+/\d+\]  line\n$")

    def test_trace_of_a_container(self):
        container = self.docker.start("writer", "forever", driver="none")
        trace = subprocess.Popen([harness.TWINLOG, "trace", "--container", container, "-t", "--writer"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        # What was in the pipe before has no writer that could be known.
        line = b" -[-] "
        while b" -[-] " in line:
            line = read_line(trace.stdout)
        line = read_line(trace.stdout).decode()
        self.docker("kill", container)
        trace.communicate(timeout=harness.DEADLINE)
        self.assertEqual(trace.returncode, 0)
        self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z writer\[\d+/\d+\] "
                               r"line \d+ of a program without end\n$")

    def test_sigterm_loses_nothing(self):
        daemon = self.second_daemon()
        container = self.docker.start("sh", "-c", "writer write 20000; echo done; exec tail -f /dev/null")
        follower = self.docker.popen("logs", "-f", container, stdout=subprocess.PIPE)
        seen = b""
        while not seen.endswith(b"done\n"):
            seen += os.read(follower.stdout.fileno(), 65536)
        follower.kill()
        follower.communicate()
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.logs(container)[0], seen)

    def test_one_daemon_a_store(self):
        first = self.twinlog.process.pid
        second = self.twinlog("run", check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn(str(first), second.stderr.decode())
        self.assertNotIn("ready:", second.stderr.decode())

    def test_ready_line_counts(self):
        running = [self.docker.start("tail", "-f", "/dev/null") for _ in range(2)]
        daemon = self.second_daemon()
        self.assertRegex(daemon.ready_line, r"ready: capturing \d+ containers?")
        count = int(re.search(r"capturing (\d+)", daemon.ready_line).group(1))
        self.assertGreaterEqual(count, 2)
        listed = daemon("ps").stdout.decode()
        for container in running:
            self.assertIn(container[:12], listed)


if __name__ == "__main__":
    harness.main()
