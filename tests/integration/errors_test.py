"""Wrong input and hosts that cannot do it: an exit status and one clear line each, no dockerd needed."""

import fcntl
import json
import os
import pathlib
import pty
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest

import harness
from harness import TWINLOG, cannot_run, run

F_OFD_SETLK = 37  # Linux; fcntl has it from Python 3.9 on


def frame(source, line, piece=None):
    """An entry of Docker's local format, made apart from the program's own writer. piece: the number
    of one of a cut line; negative: the last one."""
    message = b"\x0a" + bytes([len(source)]) + source + b"\x10\x81\x80\x80\x80\x80\x80\x80\x80\x18"
    message += b"\x1a" + bytes([len(line)]) + line
    if piece is not None:
        partial = (b"\x08\x01" if piece < 0 else b"") + b"\x12\x40" + b"a" * 64 + b"\x18" + bytes([abs(piece)])
        message += b"\x2a" + bytes([len(partial)]) + partial
    size = len(message).to_bytes(4, "big")
    return size + message + size


class Errors(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            cannot_run("needs root")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-errors-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.store = self.directory / "store"

    def container(self, identity, name, log=b"", text=None, **more):
        """A container's directory as the store keeps it."""
        directory = self.store / "containers" / identity
        directory.mkdir(parents=True)
        info = {"id": identity, "name": name, "state": "ended", **more}
        (directory / "container-cached.log").write_bytes(log)
        # Last, and at once: who follows takes the log up as soon as it is there.
        fresh = directory / "container.json.new"
        fresh.write_text(json.dumps(info) if text is None else text)
        fresh.rename(directory / "container.json")
        return directory

    def assertRefused(self, argv, *words, status=1):
        done = run(*argv, check=False)
        said = done.stderr.decode()
        self.assertEqual(done.returncode, status, said)
        self.assertEqual(done.stdout, b"")
        for word in words:
            self.assertIn(word, said)
        if status == 1:
            self.assertEqual(len(said.strip().splitlines()), 1, f"one line, not: {said}")
        self.assertNotIn("terminate called", said)
        return said

    def logs(self, *arguments):
        return [TWINLOG, "logs", "--store", self.store, *arguments]

    def daemon(self, *arguments):
        return [TWINLOG, "run", "--store", self.store, *arguments]

    # Wrong usage

    def test_no_command(self):
        self.assertRefused([TWINLOG], status=2)

    def test_unknown_option(self):
        self.assertRefused(self.logs("--no-such-option", "x"), "--no-such-option", status=2)

    def test_unknown_command(self):
        self.assertRefused([TWINLOG, "frobnicate"], "frobnicate", status=2)

    def test_usage_errors_are_one_line_with_a_way_out(self):
        self.container("a" * 64, "web")
        config = self.directory / "twinlog.conf"
        config.write_text('max-file = "many"\n')
        for words, said in (
                (("inspect", "web", "-f"), 'twinlog: unknown command "inspect" — twinlog --help lists them'),
                (("--nosuch", "ps"), "twinlog: unknown option --nosuch — twinlog --help lists them"),
                (("--log-level", "loud", "ps"),
                 "twinlog: --log-level loud: not one of trace, debug, info, warn, error, off — twinlog --help"),
                (("ps", "--nosuch", "x"), "twinlog ps: unknown option --nosuch — twinlog ps --help lists them"),
                (("ps", "web", "-a"), 'twinlog ps: unexpected argument "web" — twinlog ps --help'),
                (("run", "--container", "zz", "extra"), 'twinlog run: unexpected argument "extra" — twinlog run --help'),
                (("run", "--pid", "1", "2"), 'twinlog run: unexpected argument "2" — twinlog run --help'),
                (("run", "--config", config),
                 f"twinlog run: {config}: --max-file many: not a whole number from 0 — twinlog run --help"),
                (("run", "--config", "/nosuch"), "twinlog run: /nosuch: opening it: No such file or directory — twinlog run --help"),
                (("trace", "--pid", "abc"),
                 "twinlog trace: --pid abc: not a whole number from 0 — twinlog trace --help"),
                (("trace", "--pid", "1", "--container", "web"),
                 "twinlog trace: --pid: not together with --container — twinlog trace --help"),
                (("logs", "web", "-C", "-1", "--grep", "a"),
                 "twinlog logs: --context -1: not a whole number from 0 — twinlog logs --help"),
                (("logs", "web", "-C", "99999999999", "--grep", "a"),
                 "twinlog logs: --context 99999999999: too large — twinlog logs --help"),
                (("logs", "web", "-i"), "twinlog logs: --ignore-case: needs --grep — twinlog logs --help"),
                (("logs", "web", "-o", "xml"),
                 "twinlog logs: --output xml: not one of short, json, raw — twinlog logs --help"),
                (("ps", "--all=foo"), "twinlog ps: --all foo: neither true nor false — twinlog ps --help"),
                (("logs", "web", "-n"), "twinlog logs: --tail: its value is missing — twinlog logs --help"),
                (("help", "nosuch"), 'twinlog: unknown command "nosuch" — twinlog --help lists them')):
            self.assertEqual(self.assertRefused([TWINLOG, *words], status=2), said + "\n")
            as_json = self.assertRefused([TWINLOG, "--log-format", "json", *words], status=2)
            self.assertTrue(said.endswith(": " + json.loads(as_json)["message"]), as_json)
        self.assertEqual(len(self.assertRefused([TWINLOG, "--log-format", "json"], status=2).splitlines()), 1)

    def test_help_and_version_as_words(self):
        for words, options in ((("help",), ("--help",)), (("help", "logs"), ("logs", "--help")),
                               (("version",), ("--version",))):
            done = run(TWINLOG, *words)
            self.assertEqual((done.stdout, done.stderr), (run(TWINLOG, *options).stdout, b""), words)

    def test_names_and_labels(self):
        self.container("a" * 64, "web", frame(b"stdout", b"one"), labels={"team": "a"})
        self.container("b" * 64, "db", frame(b"stdout", b"two"))
        self.container("c" * 64, "job", frame(b"stdout", b"three"), labels={"team": "a", "x": "y"})
        for options, lines in ((("--label", "team", "db"), ["db   | two", "job  | three", "web  | one"]),
                               (("--label", "team=a", "--label", "x"), ["job  | three"]),
                               (("db", "--label", "x=y"), ["db   | two", "job  | three"])):
            self.assertEqual(sorted(run(*self.logs(*options)).stdout.decode().splitlines()), lines)
        for options in (("--all", "web"), ("--all", "--label", "team")):
            said = self.assertRefused(self.logs(*options), "--all", "leave it out", status=2)
            self.assertEqual(len(said.splitlines()), 1)

    def test_raw_has_no_place_for_more(self):
        self.container("a" * 64, "web", frame(b"stdout", b"one"))
        for option, name in (("-t", "--timestamps"), ("--details", "--details"), ("--writer", "--writer")):
            said = self.assertRefused(self.logs("-o", "raw", option, "web"), name, "-o raw", status=2)
            self.assertEqual(len(said.splitlines()), 1)
        self.assertEqual(run(*self.logs("-o", "raw", "--writer=x", "web")).stdout, b"")

    def test_some_containers_are_not_there(self):
        self.container("a" * 64, "web", frame(b"stdout", b"one"), streams={"stdout": {"kind": "pipe", "bytes": 4}})
        for command, found in (("stats", b"web"), ("verify", b"1 container, 1 file, ")):
            for name, said in (("nosuch", b"twinlog: No such container: nosuch"), ("", b"twinlog: the name is empty")):
                done = run(TWINLOG, command, "--store", self.store, name, "web", check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn(found, done.stdout)
                self.assertEqual([line.split(" — ".encode())[0] for line in done.stderr.splitlines()], [said])
                self.assertRefused([TWINLOG, command, "--store", self.store, name])
            self.assertEqual(run(TWINLOG, command, "--store", self.store, "web").returncode, 0)
        self.assertIn(b", 1 entry: all good", run(TWINLOG, "verify", "--store", self.store).stdout)

    def test_ps_shows_ids_and_filters(self):
        def ps(*options):
            return run(TWINLOG, "ps", "--store", self.store, *options).stdout.decode()
        self.container("a" * 64, "web", labels={"team": "a"})
        self.container("b" * 64, "web-2", state="running", labels={"team": "a", "x": ""})
        self.container("c" * 64, "db", labels={"team": "b"})
        self.assertEqual(ps("-q"), "b" * 12 + "\n")
        self.assertEqual(ps("-q", "--no-trunc"), "b" * 64 + "\n")
        self.assertEqual(sorted(ps("-aq").split()), [letter * 12 for letter in "abc"])
        self.assertIn("\n" + "b" * 64 + " ", ps("--no-trunc"))
        self.assertEqual(json.loads(ps("-q", "--format", "json"))["id"], "b" * 64)
        for filters, letters in ((("name=web",), "ab"), (("name=^/web$",), "a"), (("name=db", "name=2$"), "bc"),
                                 (("id=^c",), "c"), (("status=exited",), "ac"), (("status=running", "name=db"), ""),
                                 (("label=team",), "abc"), (("label=team=a", "label=x"), "b")):
            options = [word for text in filters for word in ("--filter", text)]
            self.assertEqual(sorted(ps("-aq", *options).split()), [letter * 12 for letter in letters], filters)
        # As with docker, asking for a state shows ended ones, too.
        self.assertEqual(sorted(ps("-q", "-f", "status=exited").split()), ["a" * 12, "c" * 12])
        for text in ("web", "name=", "nosuch=x", "status=paused", "name=a(b", "label==x"):
            said = self.assertRefused([TWINLOG, "ps", "--store", self.store, "--filter", text], status=2)
            self.assertEqual(len(said.splitlines()), 1, said)

    def test_logs_without_container(self):
        self.assertRefused(self.logs(), status=2)

    def test_help_and_version(self):
        for option in ("--help", "--version"):
            done = run(TWINLOG, option)
            self.assertTrue(done.stdout)
            self.assertEqual(done.stderr, b"")

    # Wrong values

    def test_bad_since(self):
        self.container("a" * 64, "web")
        for option in ("--since", "--until"):
            for value in ("foo", "1d", "yesterday", "2026-1-2"):
                done = run(*self.logs(option, value, "web"), check=False)
                self.assertIn(done.returncode, (1, 2))
                self.assertIn(f'invalid value for "{option[2:]}"', done.stderr.decode())
                self.assertIn("— for example 10m, 24h or 2026-11-24T08:00", done.stderr.decode())

    def test_bad_max_size(self):
        for value in ("foo", "10x", "1.2.3m"):
            done = run(*self.daemon("--max-size", value), check=False)
            self.assertIn(done.returncode, (1, 2))
            self.assertIn(value, done.stderr.decode())

    def test_bad_tail_is_everything(self):
        self.container("a" * 64, "web", frame(b"stdout", b"one"))
        self.assertEqual(run(*self.logs("--tail", "abc", "web")).stdout, b"one\n")

    def test_empty_values(self):
        """As with docker, they are values: the next word is none."""
        self.container("a" * 64, "web", frame(b"stdout", b"one") + frame(b"stdout", b"two"))
        for options in (("--since=",), ("--until=",), ("--tail=",), ("--since=", "--until=", "--tail="), ("--since", "")):
            self.assertEqual(run(*self.logs(*options, "web")).stdout, b"one\ntwo\n", options)
        self.assertEqual(run(*self.logs("--tail=1", "--since=", "web")).stdout, b"two\n")
        self.assertRefused(self.logs("--output=", "web"), "--output", status=2)
        for command in (["ps"], ["stats"], ["verify"], ["stop"], ["run"], ["logs", "web"]):
            self.assertRefused([TWINLOG, *command, "--store="], "--store: it is empty")
        self.assertRefused(self.daemon("--max-size="), "--max-size", status=2)

    def test_tail_is_whole_lines(self):
        cut = [frame(b"stdout", text, piece) for text, piece in ((b"START", 1), (b"middle", 2), (b"END", -3))]
        other = frame(b"stderr", b"other")
        self.container("a" * 64, "web", frame(b"stdout", b"one") + cut[0] + other + cut[1] + cut[2])
        self.container("b" * 64, "db", frame(b"stdout", b"last"))
        for options, out, err in ((("-n", "1"), b"STARTmiddleEND\n", b""), (("-n", "2"), b"STARTmiddleEND\n", b"other\n"),
                                  (("-n", "1", "-o", "raw"), b"STARTmiddleEND\n", b""),
                                  (("-n", "1", "--docker-exact=23"), b"END\n", b""),
                                  (("-n", "1", "--stderr"), b"", b"other\n")):
            done = run(*self.logs(*options, "web"))
            self.assertEqual((done.stdout, done.stderr), (out, err), options)
        self.assertEqual(sorted(run(*self.logs("-n", "1", "web", "db")).stdout.splitlines()),
                         [b"db   | last", b"web  | STARTmiddleEND"])

    def test_empty_container(self):
        """All ids begin so."""
        config = self.directory / "twinlog.conf"
        words = ("--container", "cannot be empty")
        self.assertRefused(self.daemon("--container", ""), *words, status=2)
        self.assertRefused(self.daemon("--container="), *words, status=2)
        self.assertRefused(self.daemon("--container", "web", "--container", ""), *words, status=2)
        for text in ('container = ""', 'container = ["web", ""]'):
            config.write_text(text + "\n")
            self.assertRefused(self.daemon("--config", config), *words, status=2)
        self.assertFalse(self.store.exists())

    def test_bad_max_file(self):
        done = run(*self.daemon("--max-file", "0"), check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("max-file cannot be less than 1", done.stderr.decode())

    def test_options_that_contradict(self):
        """As with Docker's local driver; what is so by default does not count."""
        words = ("compression cannot be enabled when max file count is 1", "--max-file 2")
        self.assertRefused(self.daemon("--max-file", "1", "--compress"), *words, status=2)
        config = self.directory / "twinlog.conf"
        config.write_text("max-file = 1\ncompress = true\n")
        self.assertRefused(self.daemon("--config", config), *words, status=2)
        # What is looked at later is refused, so these are taken.
        for options in (("--max-file", "1"), ("--max-file", "1", "--no-compress"), ("--max-file", "2", "--compress")):
            self.assertRefused(self.daemon(*options, "--spill", "1"), "--spill", status=2)

    def test_empty_labels(self):
        config = self.directory / "twinlog.conf"
        config.write_text('labels = ["a", ""]\n')
        for options in (("--labels", "a,,b"), ("--labels", ",a"), ("--labels", "a,"), ("--config", config)):
            self.assertRefused(self.daemon(*options), "--labels", "a label is empty", status=2)
        self.assertRefused(self.daemon("--labels", "a,b", "--spill", "1"), "--spill", status=2)

    def test_config_file(self):
        config = self.directory / "twinlog.conf"
        self.assertRefused(self.daemon("--config", config), str(config), status=2)
        for text, word in (('no-such-option = "1"', "no-such-option"), ('max-size = "enormous"', "enormous"),
                           ("max-file = 0", "max-file cannot be less than 1"),
                           ("finish = true", "finish"),
                           ('backend = "magic"', "magic"), ('[run]\nmax-file = 3', "run")):
            config.write_text(text + "\n")
            self.assertRefused(self.daemon("--config", config), word, status=2)
        # The command line stands above the file.
        config.write_text('max-size = "enormous"\n')
        self.assertRefused(self.daemon("--config", config, "--max-size", "huge"), "huge", status=2)
        # Lists go on, wherever their next line stands; all else is once there.
        config.write_text('container = "a"\nmax-file = 0\ncontainer = "b"\n')
        self.assertRefused(self.daemon("--config", config), "max-file cannot be less than 1", status=2)
        config.write_text('format = "raw"\nmax-file = 2\nformat = ["cri", "magic"]\n')
        self.assertRefused(self.daemon("--config", config), "magic", status=2)
        for text in ('max-file = 2\nmax-size = "1m"\nmax-file = 3\n', "max-file = 2\nmax-file = 3\n",
                     "max-file = [2, 3]\n", "compress = true\nmax-file = 2\ncompress = false\n"):
            config.write_text(text)
            self.assertRefused(self.daemon("--config", config), str(config), "more than one value", status=2)
        for text in ('max-file = "many"\n', 'backend = "magic"\n', "=\n", "= 3\n", "a=\n"):
            config.write_text(text)
            self.assertRefused(self.daemon("--config", config), str(config), status=2)
        for text, words in (("\nmax-size\n", ("line 2", "max-size")), ("[run]\nmax-file = 3\n", ("line 1", "[run]"))):
            config.write_text(text)
            said = self.assertRefused(self.daemon("--config", config), str(config), *words, status=2)
            self.assertNotIn("++", said)
        self.assertRefused(self.daemon("--config", self.directory), str(self.directory), "Is a directory", status=2)
        # And the file is used: it names another store than the one by default.
        config.write_text(f'store = "{self.directory}/other"\nmax-file = 2\n')
        done = run(TWINLOG, "run", "--finish", "--config", config, check=False)
        self.assertIn(f"{self.directory}/other", done.stderr.decode())

    def test_config_that_becomes_a_directory(self):
        config = self.directory / "twinlog.conf"
        config.write_text("max-file = 2\n")
        daemon = harness.Twinlog("--config", config, "--pid", os.getpid())
        self.addCleanup(daemon.close)
        config.unlink()
        config.mkdir()
        daemon.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: "the options stay as they were" in daemon.said(), "the daemon says so")
        self.assertIn("Is a directory", daemon.said())
        self.assertIsNone(daemon.process.poll())

    # What is not there

    def test_bad_backend(self):
        self.assertRefused(self.daemon("--backend", "kprobe"), "--backend", status=2)

    def test_backend_that_the_kernel_refuses(self):
        found = run(TWINLOG, "doctor", check=False).stdout.decode()
        if "ok       backend fentry" in found:
            cannot_run("this kernel takes the backend fentry")
        self.assertRefused(self.daemon("--backend", "fentry"), "backend fentry", "--backend auto")

    def test_unknown_container(self):
        self.container("a" * 64, "web")
        self.assertRefused(self.logs("nosuch"), "No such container: nosuch")

    def test_no_store(self):
        """In the same words, whoever misses it."""
        said = {self.assertRefused([TWINLOG, command, *more, "--store", self.store], str(self.store), "twinlog run")
                for command, *more in (["logs", "nosuch"], ["ps"], ["stats"], ["verify"], ["stop"])}
        self.assertEqual(len(said), 1, said)

    def test_ambiguous_prefix(self):
        self.container("abc" + "1" * 61, "one")
        self.container("abc" + "2" * 61, "two")
        self.assertRefused(self.logs("abc"), "abc")
        run(*self.logs("abc1"))

    def test_no_path_outside_the_store(self):
        self.container("a" * 64, "web")
        for name in ("../../etc", "/etc/passwd", "..", ".", ""):
            done = run(*self.logs("--", name), check=False)
            self.assertIn(done.returncode, (1, 2))
            self.assertEqual(done.stdout, b"")

    def test_dead_pid(self):
        process = subprocess.Popen(["true"])
        process.wait()
        self.assertRefused(self.daemon("--pid", process.pid), str(process.pid))
        self.assertRefused([TWINLOG, "trace", "--pid", str(process.pid)], str(process.pid))

    # Nobody to tell

    def test_stderr_that_cannot_be_written(self):
        self.container("a" * 64, "web")
        for redirection in ("2>/dev/full", "2>&-"):
            done = run("sh", "-c", f'exec "$@" {redirection}', "sh", *self.logs("nosuch"), check=False)
            self.assertEqual(done.returncode, 1, redirection)
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "wb") as nobody_reads:
            done = subprocess.run([str(word) for word in self.logs("nosuch")], stderr=nobody_reads, check=False)
        self.assertEqual(done.returncode, 1)

    def test_closed_descriptors_get_no_messages(self):
        """A file that is opened must not come to stand where standard error is written to."""
        source = self.directory / "source"
        source.write_text('{"log":"one\\n","stream":"stdout","time":"2026-11-24T12:00:00Z"}\nno entry\n')
        wanted = self.directory / "wanted"
        convert = [TWINLOG, "convert", "--from", "json-file", "--to", "local", source]
        self.assertIn(b"left out", run(*convert, wanted, check=False).stderr)
        for redirection in ("2>&-", ">&- 2>&-", "<&- >&- 2>&-", "<&- 2>&-"):
            out = self.directory / "out"
            done = run("sh", "-c", f'exec "$@" {redirection}', "sh", *convert, out, check=False)
            self.assertEqual(done.returncode, 1, redirection)
            self.assertEqual(out.read_bytes(), wanted.read_bytes(), redirection)

    def test_closed_stdout_is_an_error(self):
        self.container("a" * 64, "web", frame(b"stdout", b"one"))
        done = run("sh", "-c", 'exec "$@" >&-', "sh", *self.logs("web"), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"stdout", done.stderr)

    def test_output_that_cannot_be_written(self):
        self.container("a" * 64, "web", frame(b"stdout", b"one"))
        for words in (("--help",), ("logs", "--help"), ("--version",), ("help",), ("version",), ("doctor",),
                      ("ps", "--store", self.store), ("verify", "--store", self.store)):
            for redirection in (">/dev/full", ">&-"):
                done = run("sh", "-c", f'exec "$@" {redirection}', "sh", TWINLOG, *words, check=False)
                self.assertEqual(done.returncode, 1, (words, redirection))
                self.assertRegex(done.stderr, rb"\Atwinlog: stdout: cannot write: [^\n]*\n\Z")

    def test_messages_as_json(self):
        for name in ('"', 'x","level":"info', "\\", "\n\t\x1b[m", "\u202e", "%v"):
            done = run(TWINLOG, "--log-format", "json", "--log-level", "off", "logs", "--store", self.store, name,
                       check=False)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(list(json.loads(done.stderr)), ["time", "level", "message"])
            self.container("a" * 64, "web")
            done = run(TWINLOG, "--log-format", "json", "logs", "--store", self.store, name, check=False)
            said = json.loads(done.stderr)
            self.assertEqual(said["level"], "error")
            self.assertTrue(said["message"].startswith("No such container: "), said)
            self.assertNotIn(b"\x1b", done.stderr)
            self.assertNotIn("\u202e".encode(), done.stderr)
            shutil.rmtree(self.store)

    # Nobody who reads, and who reads slowly

    def test_reader_that_has_seen_enough(self):
        source = self.directory / "source"
        source.write_text('{"log":"one\\n","stream":"stdout","time":"2026-11-24T12:00:00Z"}\n' * 10000)
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "wb") as nobody_reads:
            done = subprocess.run([TWINLOG, "convert", "--from", "json-file", "--to", "cri", source, "-"],
                                  stdout=nobody_reads, stderr=subprocess.PIPE, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_raw_tells_of_losses_before_it_waits(self):
        """Who follows is ended by a signal, so there is no other time."""
        message = b"\x0a\x0agap-stdout\x10\x01\xda\x3e\x04\x08\x07\x10\x01"
        size = len(message).to_bytes(4, "big")
        directory = self.container("a" * 64, "web", frame(b"stdout", b"one") + size + message + size)
        info = json.loads((directory / "container.json").read_text())
        (directory / "container.json").write_text(json.dumps({**info, "state": "running", "run": 1}))
        reader, writer = os.pipe()
        for output in (subprocess.DEVNULL, writer):
            if output == writer:
                os.close(reader)
            follower = subprocess.Popen([str(word) for word in self.logs("-o", "raw", "-f", "web")],
                                        stdout=output, stderr=subprocess.PIPE)
            self.addCleanup(follower.communicate)
            self.addCleanup(follower.kill)
            self.assertIn(b"no daemon runs with this store", harness.read_line(follower.stderr))
            self.assertEqual(harness.read_line(follower.stderr),
                             b"twinlog: web: 7 bytes lost, in 1 place; -o short shows where\n")
        os.close(writer)
        self.assertEqual(follower.wait(harness.DEADLINE), 0)

    # No daemon

    def serve(self):
        """Holds the store's lock as a daemon does, until the descriptor that it returns is closed."""
        lock = os.open(self.store / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(lock, b"%d\n" % os.getpid())
        # Byte 1 says that the number can be read.
        fcntl.fcntl(lock, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 1, 1, 0))
        return lock

    def test_logs_without_daemon(self):
        note = b"twinlog: no daemon runs with this store: the log is as of its end\n"
        self.container("a" * 64, "web", frame(b"stdout", b"one"), state="running", run=1)
        self.container("b" * 64, "ended", frame(b"stdout", b"one"))
        # Beside the container's own stderr it is told to people only.
        done = run(*self.logs("web"))
        self.assertEqual((b"one" in done.stdout, done.stderr), (True, b""))
        for words, said in ((("web",), note), (("-o", "json", "web"), note), (("--all",), note),
                            (("--docker-exact", "web"), b""), (("ended",), b"")):
            self.assertEqual(self.told_on_terminal(*words), said, words)
        lock = self.serve()
        self.assertEqual(self.told_on_terminal("web"), b"")
        os.close(lock)

    def told_on_terminal(self, *words):
        """What the reader says where its stderr is a terminal."""
        master, slave = pty.openpty()
        with open(master, "rb", buffering=0) as screen:
            done = subprocess.run([str(word) for word in self.logs(*words)], stdout=subprocess.PIPE, stderr=slave,
                                  check=True)
            os.close(slave)
            self.assertIn(b"one", done.stdout)
            try:
                return screen.read(4096).replace(b"\r\n", b"\n")
            except OSError:  # nobody has written to it: EIO
                return b""

    def test_daemon_that_goes_away(self):
        note = b"twinlog: no daemon runs with this store: the log is as of its end, and goes on with the next one\n"
        self.container("a" * 64, "web", frame(b"stdout", b"one"), state="running", run=1)
        lock = self.serve()
        followers = []
        for words in (("web",), ("--all",), ("--docker-exact", "web")):
            follower = subprocess.Popen([str(word) for word in self.logs("-f", *words)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(follower.communicate)
            self.addCleanup(follower.kill)
            self.assertIn(b"one\n", harness.read_line(follower.stdout))
            followers.append(follower)
        # It goes, is told of once, comes, and goes again.
        for _ in range(2):
            os.close(lock)
            for follower in followers[:2]:
                self.assertEqual(harness.read_line(follower.stderr), note)
            lock = self.serve()
            time.sleep(5)
        os.close(lock)
        for follower in followers:
            self.assertIsNone(follower.poll())
            follower.kill()
            self.assertEqual(follower.communicate(), (b"", b""))

    # What is removed meanwhile

    def test_following_outlives_containers(self):
        self.container("0" * 64, "first", frame(b"stdout", b"one"))
        follower = subprocess.Popen([str(word) for word in self.logs("--all", "-f")],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(follower.communicate)
        self.addCleanup(follower.kill)
        self.assertIn(b"one", harness.read_line(follower.stdout))
        for number in range(1500):
            identity = f"{number:064x}"[::-1]
            shutil.rmtree(self.container("fresh" + identity[:50], "job", frame(b"stdout", b"x")))
        self.container("f" * 64, "last", frame(b"stdout", b"that was all"))
        line = b"?"
        while line and b"that was all" not in line:
            line = harness.read_line(follower.stdout)
        self.assertTrue(line, "it has ended")
        self.assertIsNone(follower.poll())

    # Damage

    def test_corrupt_container_json(self):
        self.container("a" * 64, "broken", frame(b"stdout", b"one"), text='{"id": "a')
        self.container("b" * 64, "web", frame(b"stdout", b"fine"))
        self.assertEqual(run(*self.logs("web")).stdout, b"fine\n")
        self.assertRefused(self.logs("a" * 64), "container.json")
        listed = run(TWINLOG, "ps", "-a", "--store", self.store, check=False)
        self.assertIn(b"web", listed.stdout)

    def test_torn_last_entry(self):
        whole = frame(b"stdout", b"one") + frame(b"stderr", b"two")
        torn = frame(b"stdout", b"three")
        for cut in range(1, len(torn)):
            directory = self.container(f"{cut:064x}", f"c{cut}", whole + torn[:cut])
            done = run(*self.logs(f"c{cut}"), check=False)
            self.assertEqual(done.stdout, b"one\n", f"cut at {cut}")
            self.assertIn(b"two\n", done.stderr)
            self.assertNotIn(b"three", done.stdout)
            shutil.rmtree(directory)

    def test_garbage_in_the_log(self):
        garbage = bytes(range(256)) * 4
        self.container("a" * 64, "web", frame(b"stdout", b"one") + garbage + frame(b"stdout", b"two"))
        done = run(*self.logs("web"), check=False)
        self.assertTrue(done.stdout.startswith(b"one\n"), done.stdout)
        self.assertTrue(done.stderr, "damage must be said")

    # Hosts that cannot do it

    def test_not_root(self):
        # A copy, because the build directory may be below a home that others cannot enter.
        self.directory.chmod(0o755)
        copy = shutil.copy(TWINLOG, self.directory / "twinlog")
        os.chmod(copy, 0o755)
        theirs = self.directory / "theirs"
        theirs.mkdir()
        theirs.chmod(0o777)
        self.assertRefused(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, "run",
                            "--store", theirs / "store"], "root")
        self.assertFalse((theirs / "store").exists())

    def test_missing_capability(self):
        self.assertRefused(["setpriv", "--bounding-set=-sys_admin,-bpf,-perfmon", *self.daemon()], "CAP_")
        self.assertFalse(self.store.exists())

    def test_no_btf(self):
        hide = 'mount -t tmpfs none /sys/kernel/btf && exec "$@"'
        self.assertRefused(["unshare", "-m", "sh", "-c", hide, "sh", *self.daemon()], "BTF")

    def test_store_is_a_file(self):
        self.store.write_text("not a directory")
        self.assertRefused(self.daemon(), str(self.store))

    def test_store_not_writable(self):
        self.store.mkdir()
        readonly = 'mount -t tmpfs -o ro none "$0" && exec "$@"'
        self.assertRefused(["unshare", "-m", "sh", "-c", readonly, self.store, *self.daemon()],
                           str(self.store), "Read-only file system")

    def test_store_held(self):
        first = harness.Twinlog()
        self.addCleanup(first.close)
        self.assertRefused([TWINLOG, "run", "--store", first.store], str(first.process.pid))


if __name__ == "__main__":
    harness.main()
