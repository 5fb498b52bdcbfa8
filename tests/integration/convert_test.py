"""From one log format to another, by the command line; the inputs are files that a real dockerd wrote
(tests/unit/golden/make)."""

import gzip
import os
import pathlib
import pty
import shutil
import subprocess
import tempfile
import unittest

import harness
from harness import TWINLOG, run

GOLDEN = harness.ROOT / "tests/unit/golden"


class Convert(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-convert-"))
        self.addCleanup(shutil.rmtree, self.directory)

    def convert(self, source, target, path, *options, check=True, **more):
        """What the result holds, and what was said."""
        out = self.directory / f"out.{target}"
        done = run(TWINLOG, "convert", "--from", source, "--to", target, *options, path, out,
                   check=check, **more)
        return out, done

    def test_dockers_files_both_ways(self):
        """json-file to local and back is exact; local to json-file loses the ids of pieces, and says so."""
        for name in ("json-file.log", "json-file-attributes.log"):
            local, said = self.convert("json-file", "local", GOLDEN / name)
            self.assertEqual(b"made up" in said.stderr, name == "json-file.log")
            back, said = self.convert("local", "json-file", local)
            self.assertEqual(back.read_bytes(), (GOLDEN / name).read_bytes())
        whole, said = self.convert("local", "json-file", GOLDEN / "local.log")
        self.assertIn(b"not exact: 3 pieces of cut lines lose their ids", said.stderr)
        texts = [e[1] for e in harness.json_entries(whole)]
        self.assertEqual(texts, [harness.text_of(e) for e in harness.local_entries(GOLDEN / "local.log")])
        same, said = self.convert("local", "local", GOLDEN / "local.log")
        self.assertEqual(same.read_bytes(), (GOLDEN / "local.log").read_bytes())
        self.assertEqual(said.stderr, b"")

    def test_cri(self):
        cri, said = self.convert("json-file", "cri", GOLDEN / "json-file-attributes.log")
        self.assertIn(b"2 entries lose their attributes", said.stderr)
        lines = cri.read_bytes().splitlines()
        self.assertRegex(lines[0], rb"^\d{4}-\d\d-\d\dT[0-9:.]+Z stdout F out$")
        self.assertRegex(lines[1], rb" stderr F err$")
        cri, _ = self.convert("local", "cri", GOLDEN / "local.log")
        pieces = [line for line in cri.read_bytes().split(b"\n") if b" stdout P " in line]
        self.assertEqual(len(pieces), 2)  # of the cut line, and of the one without an end
        back, _ = self.convert("cri", "json-file", cri)
        through_cri = back.read_bytes()  # the next result takes its place
        whole, _ = self.convert("local", "json-file", GOLDEN / "local.log")
        self.assertEqual(through_cri, whole.read_bytes())

    def test_many_lines_in_one_entry(self):
        """Other producers of json-file have such; what stands behind a newline is no entry of its own."""
        path = self.directory / "many"
        times = ("2026-11-24T00:00:00.5Z", "2026-11-24T00:00:01Z")
        forged = "2001-01-01T00:00:00Z stderr F forged"
        path.write_text("".join(f'{{"log":"{text}","stream":"stdout","time":"{time}"}}\n' for text, time in
                                ((f"one\\n{forged}\\n\\nfour\\n", times[0]), ("five\\nsix", times[1]))))
        cri, said = self.convert("json-file", "cri", path)
        self.assertEqual(cri.read_text().splitlines(),
                         [f"{times[0]} stdout F {text}" for text in ("one", forged, "", "four")] +
                         [f"{times[1]} stdout F five", f"{times[1]} stdout P six"])
        self.assertEqual(said.stderr, b"twinlog: not exact: 2 entries hold newlines: each of their lines "
                                      b"became an entry\n")
        local, said = self.convert("json-file", "local", path)
        self.assertNotIn(b"newlines", said.stderr)
        back, _ = self.convert("local", "json-file", local)
        self.assertEqual(back.read_bytes(), path.read_bytes())

    def test_raw(self):
        out, said = self.convert("local", "raw", GOLDEN / "local.log")
        streams = {name: out.with_name(f"out.raw.{name}").read_bytes() for name in ("stdout", "stderr")}
        entries = harness.local_entries(GOLDEN / "local.log")
        for name, text in streams.items():
            self.assertEqual(text, b"".join(harness.text_of(e) for e in entries if e.source == name))
        self.assertIn(b"times are dropped", said.stderr)
        only, _ = self.convert("local", "raw", GOLDEN / "local.log", "--stream", "stdout")
        self.assertEqual(only.read_bytes(), streams["stdout"])
        back, said = self.convert("raw", "local", only, "--stream", "stderr")
        self.assertIn(b"got the time of the file's last change", said.stderr)
        stored = harness.local_entries(back)
        self.assertEqual({e.source for e in stored}, {"stderr"})
        self.assertEqual(b"".join(harness.text_of(e) for e in stored), streams["stdout"])

    def test_invalid_utf8_is_told(self):
        raw = self.directory / "raw"
        raw.write_bytes(b"good\nbad \xff\xfe\n")
        out, said = self.convert("raw", "json-file", raw)
        self.assertIn(b"1 entries are not UTF-8: such bytes became U+FFFD", said.stderr)
        self.assertIn(b'"bad \\ufffd\\ufffd\\n"', out.read_bytes())

    def test_compressed(self):
        out, _ = self.convert("local", "raw", GOLDEN / "local-rotated.log.gz", "--stream", "stdout")
        whole = out.read_bytes()  # the next result takes its place
        numbers = [int(line) for line in whole.split()]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        torn = self.directory / "torn.gz"
        torn.write_bytes((GOLDEN / "local-rotated.log.gz").read_bytes()[:-300])
        some, said = self.convert("local", "raw", torn, "--stream", "stdout", check=False)
        self.assertEqual(said.returncode, 1)
        self.assertIn(b"cannot be decompressed to its end", said.stderr)
        beginning = some.read_bytes()
        self.assertTrue(beginning and whole.startswith(beginning))
        self.assertLess(len(beginning), len(whole))

    def test_pipes(self):
        data = (GOLDEN / "json-file.log").read_bytes()
        done = subprocess.run([TWINLOG, "convert", "--from", "json-file", "--to", "cri", "-", "-"],
                              input=data, capture_output=True, check=True)
        file, _ = self.convert("json-file", "cri", GOLDEN / "json-file.log")
        self.assertEqual(done.stdout, file.read_bytes())
        # Compressed, it must be a file.
        command = [TWINLOG, "convert", "--from", "json-file", "--to", "cri", "-", "-"]
        refused = subprocess.run(command, input=gzip.compress(data), capture_output=True, check=False)
        self.assertEqual((refused.returncode, refused.stdout), (1, b""))
        self.assertIn(b"zcat", refused.stderr)
        packed = self.directory / "log.gz"
        packed.write_bytes(gzip.compress(data))
        with open(packed, "rb") as file:
            self.assertEqual(subprocess.run(command, stdin=file, capture_output=True, check=True).stdout,
                             done.stdout)
        # Nobody reads any more: no error.
        head = subprocess.run(f"'{TWINLOG}' convert --from json-file --to cri '{GOLDEN}/json-file.log' - | head -c 1",
                              shell=True, capture_output=True, check=True)
        self.assertEqual(head.stderr.replace(b"twinlog: not exact", b"").count(b"twinlog:"), 0)

    def test_damage_is_told(self):
        path = self.directory / "damaged"
        data = (GOLDEN / "json-file-attributes.log").read_bytes()
        first, second = data.splitlines(keepends=True)
        path.write_bytes(first + b"garbage\n" + second)
        out, said = self.convert("json-file", "json-file", path, check=False)
        self.assertEqual(said.returncode, 1)
        self.assertIn(b"8 bytes are no entry in format json-file and left out", said.stderr)
        self.assertEqual(out.read_bytes(), data)

    def test_wrong_use(self):
        path = self.directory / "log"
        data = (GOLDEN / "json-file.log").read_bytes()
        path.write_bytes(data)
        done = run(TWINLOG, "convert", "--from", "json-file", "--to", "local", path, path, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"this is the file that is read", done.stderr)
        self.assertEqual(path.read_bytes(), data)
        for arguments, words in ((("--from", "xml", "--to", "local", path, "-"), b"--from"),
                                 (("--from", "local", "--to", "raw", path, "-"), b"--stream"),
                                 (("--from", "local", "--to", "cri", "/no/such", "-"), b"/no/such")):
            done = run(TWINLOG, "convert", *arguments, check=False)
            self.assertIn(done.returncode, (1, 2))
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stdout, b"")

    def test_progress_on_a_terminal(self):
        # Fed slowly: whoever is done within a moment shows nothing.
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        line = (GOLDEN / "json-file-attributes.log").read_bytes().splitlines(keepends=True)[0]
        process = subprocess.Popen([TWINLOG, "convert", "--from", "json-file", "--to", "local", "-",
                                    str(self.directory / "out")], stdin=subprocess.PIPE, stderr=slave)
        os.close(slave)
        seen = b""
        process.stdin.write(line)
        process.stdin.flush()
        while b"B\x1b[K" not in seen:
            seen += os.read(master, 1000)
        process.stdin.close()
        self.assertEqual(process.wait(harness.DEADLINE), 0)


if __name__ == "__main__":
    harness.main()
