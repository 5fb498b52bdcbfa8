"""The daemon with the four capabilities that README names, and nothing else of root's power: it works
with them, does not without any one of them and says which, and gives up two once it is loaded."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import harness
from harness import TWINLOG, run, wait_until

NEEDED = ("bpf", "perfmon", "sys_ptrace", "dac_read_search")
# Of the numbers in linux/capability.h: what is left when programs are loaded.
KEPT = 1 << 2 | 1 << 19
NOBODY = 65534


def only(*capabilities):
    """Starts a program of root with these alone."""
    return ("setpriv", "--inh-caps=-all", "--bounding-set=-all" + "".join(f",+{c}" for c in capabilities))


class Confined(harness.Twinlog):
    launcher = only(*NEEDED)


def status_of(pid):
    """Of each thread."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        yield dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines()
                   if ":\t" in line)


class Privileges(harness.DockerTestCase):
    daemon_class = Confined
    daemon_options = ("--on-stop", "keep")

    def test_container(self):
        container = self.docker.run("sh", "-c", "echo out; echo err >&2", driver="none")
        self.assertEqual(self.twinlog.whole_logs(container), (b"out\n", b"err\n"))
        info = self.twinlog.info(container)
        self.assertEqual((info["runtime"], info["image"]), ("docker", harness.IMAGE))

    def test_what_is_kept(self):
        threads = list(status_of(self.twinlog.process.pid))
        self.assertGreater(len(threads), 2, "housekeeper and mover are threads of their own")
        for status in threads:
            # Who moves records to the spill has all of its files open.
            kept = 0 if status["Name"].strip() == "twinlog-spill" else KEPT
            for kind, expected in (("CapPrm", kept), ("CapEff", kept), ("CapInh", 0), ("CapAmb", 0)):
                self.assertEqual(int(status[kind], 16), expected, f"{kind} of {status['Name']}")
            self.assertEqual(status["NoNewPrivs"].strip(), "1")

    def test_restart(self):
        """What is pinned is opened again, and read, with the same few."""
        container = self.docker.start("sh", "-c", "echo one; while [ ! -e /tmp/go ]; do sleep 0.01; done; "
                                      "echo two", driver="none")
        wait_until(lambda: self.twinlog("logs", container, check=False).stdout == b"one\n", "the first line")
        self.twinlog.stop()
        self.docker.tell(container, "touch /tmp/go")
        self.docker.wait(container)
        self.twinlog.start("--on-stop", "keep")
        self.assertEqual(self.twinlog.whole_logs(container)[0], b"one\ntwo\n")

    def test_pipe_of_another_user(self):
        """CAP_DAC_READ_SEARCH: a pipe is its maker's, 0600, and its bytes can be had from it alone."""
        os.seteuid(NOBODY)
        try:
            ends = os.pipe()
        finally:
            os.seteuid(0)
        with os.fdopen(ends[0], "rb"), os.fdopen(ends[1], "wb") as pipe:
            text = b"x" * 30000
            process = subprocess.Popen(["sh", "-c", f"read go; printf %s {text.decode()}; read end"],
                                       stdin=subprocess.PIPE, stdout=pipe, bufsize=0)
            self.addCleanup(process.wait)
            self.addCleanup(process.stdin.close)
            daemon = Confined("--pid", process.pid)
            self.addCleanup(daemon.close)
            process.stdin.write(b"\n")
            name = f"pid-{process.pid}"
            # What is not ended by a newline is an entry once there are 16 KiB of it, as Docker's.
            wait_until(lambda: len(daemon.logs(name)[0]) >= 16384, "a copy of what is in the pipe")
            self.assertEqual(daemon.logs(name)[0], text[:16384])


class Missing(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            harness.cannot_run("needs root")
        self.store = tempfile.mkdtemp(prefix="twinlog-privileges-")
        self.addCleanup(shutil.rmtree, self.store)

    def test_one_missing(self):
        for missing in NEEDED:
            rest = [c for c in NEEDED if c != missing]
            with self.subTest(missing):
                done = run(*only(*rest), TWINLOG, "run", "--store", self.store, check=False)
                said = done.stderr.decode()
                self.assertEqual(done.returncode, 1, said)
                self.assertEqual(len(said.splitlines()), 1, said)
                self.assertIn(f"CAP_{missing.upper()} ", said)
                for other in rest:
                    self.assertNotIn(f"CAP_{other.upper()}", said)
                self.assertFalse(os.listdir(self.store))

    def test_doctor(self):
        for missing in NEEDED:
            with self.subTest(missing):
                done = run(*only(*[c for c in NEEDED if c != missing]), TWINLOG, "doctor", check=False)
                lines = done.stdout.decode().splitlines()
                failed = [i for i, line in enumerate(lines) if line.startswith("FAILED   CAP_")]
                self.assertEqual(done.returncode, 1)
                self.assertEqual(len(failed), 1, lines)
                self.assertIn(f"CAP_{missing.upper()}: is missing", lines[failed[0]])
                self.assertIn("way out: ", lines[failed[0] + 1])
        done = run(*only(*NEEDED), TWINLOG, "doctor")
        self.assertIn(b"Capture works here.", done.stdout)


if __name__ == "__main__":
    harness.main()
