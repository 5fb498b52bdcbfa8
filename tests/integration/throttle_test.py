"""--overload throttle: no byte of a flood is lost, and nobody stays frozen, whoever dies."""

import os
import pathlib
import signal
import subprocess

import harness
from harness import DockerTestCase, wait_until

MIB = 1 << 20
# What the flood of `writer` repeats, 64 KiB of lines.
BLOCK = b"".join(bytes([ord("a") + i % 26]) * 31 + b"\n" for i in range(2048))


OPTIONS = ("--overload", "throttle", "--ring-size", "16m", "--max-size", "-1")


class Floods(DockerTestCase):
    lists = {}

    def start_flood(self, blocks):
        return self.docker.start("writer", "flood", "/stop", blocks, driver="none")

    def is_frozen(self, container):
        """By whomever: the daemon takes version 2 of cgroups where it can, docker may take version 1."""
        forms = ("{}docker/{}", "{}system.slice/docker-{}.scope")
        files = [path for form in forms for top in ("", "*/")
                 for path in pathlib.Path("/sys/fs/cgroup").glob(form.format(top, container) + "/*freez*")
                 if path.name in ("cgroup.freeze", "freezer.state")]
        self.assertTrue(files)
        return any(path.read_text().strip() not in ("0", "THAWED") for path in files)

    def frozen(self, daemon):
        path = self.list_of(daemon)
        return path.read_text().split() if path.exists() else []

    def list_of(self, daemon):
        """Where the daemon notes whom it has frozen; it bears the name of the pins."""
        if daemon not in self.lists:
            self.lists[daemon] = pathlib.Path("/run") / f"{daemon.pins().name}.frozen"
        return self.lists[daemon]


class Throttle(Floods):
    daemon_options = OPTIONS
    # MiB that a flood writes: many times what the ring holds.
    flood = int(os.environ.get("FLOOD_MIB", "64"))

    def was_slowed(self, container):
        """This one: the daemon has had other floods."""
        name = self.docker("inspect", "-f", "{{.Name}}", container).stdout.decode().strip().lstrip("/")
        return any(name in line and "is slowed down" in line for line in self.twinlog.said().splitlines())

    def check(self, daemon, container, blocks):
        log = subprocess.Popen([harness.TWINLOG, "logs", "--store", daemon.store, "-f", container],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with log.stdout, log.stderr:
            size = 0
            for piece in iter(lambda: log.stdout.read(len(BLOCK)), b""):
                self.assertTrue(piece == BLOCK, f"the block at {size} is not what was written")
                size += len(piece)
            self.assertEqual(size, blocks * MIB)
            self.assertEqual(log.stderr.read(), b"%d\n" % (blocks * MIB))
        self.assertEqual(log.wait(harness.DEADLINE), 0)
        stdout = daemon.info(container)["streams"]["stdout"]
        self.assertEqual((stdout["lost"], stdout["gaps"]), (0, 0))

    def test_nothing_is_lost(self):
        container = self.start_flood(self.flood)
        self.check(self.twinlog, container, self.flood)
        self.assertTrue(self.was_slowed(container))
        self.assertEqual(self.frozen(self.twinlog), [])

    def test_several_floods(self):
        blocks = self.flood // 4
        ids = [self.start_flood(blocks) for _ in range(4)]
        for container in ids:
            self.check(self.twinlog, container, blocks)

    def test_paused_by_others(self):
        """What docker has paused stays so, and goes on when docker says so."""
        quiet = self.docker.start("sh", "-c", "echo one; until [ -e /stop ]; do usleep 1000; done; echo two")
        self.twinlog.wait_until_known(quiet)
        self.docker("pause", quiet)
        flood = self.start_flood(self.flood)
        self.docker.wait(flood)
        self.check(self.twinlog, flood, self.flood)
        state = self.docker("inspect", "-f", "{{.State.Paused}}", quiet).stdout
        self.assertEqual(state, b"true\n")
        self.assertTrue(self.is_frozen(quiet))
        self.docker("unpause", quiet)
        self.docker.tell(quiet, "touch /stop")
        self.docker.wait(quiet)
        self.assertEqual(self.twinlog.whole_logs(quiet), (b"one\ntwo\n", b""))

    def test_paused_while_it_floods(self):
        container = self.start_flood(self.flood)
        wait_until(lambda: self.was_slowed(container), "the flood being slowed")
        self.docker("pause", container, check=False)  # which runc refuses while it is frozen
        paused = self.docker("inspect", "-f", "{{.State.Paused}}", container).stdout == b"true\n"
        if paused:
            wait_until(lambda: self.frozen(self.twinlog) == [], "the ring being empty")
            self.docker("unpause", container)
        self.docker.wait(container)
        self.check(self.twinlog, container, self.flood)


class Killed(Floods):
    """One daemon that throttles at a time: another one would thaw what it has frozen itself, too."""

    def kill_while_frozen(self, daemon, container, victims=()):
        """SIGKILL, first for the victims, then for the daemon, in a moment when it has the container frozen."""
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        while True:
            wait_until(lambda: self.frozen(daemon), "somebody being frozen")
            os.kill(daemon.process.pid, signal.SIGSTOP)
            os.waitpid(daemon.process.pid, os.WUNTRACED)  # nothing changes any more
            if self.frozen(daemon) and self.is_frozen(container):
                break
            os.kill(daemon.process.pid, signal.SIGCONT)
        daemon.stop(signal.SIGKILL)

    def guards(self, daemon):
        pid = daemon.process.pid
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def test_killed_daemon_leaves_nobody_frozen(self):
        daemon = self.daemon(*OPTIONS)
        container = self.start_flood(1 << 20)
        self.addCleanup(self.docker, "rm", "-f", container)
        self.kill_while_frozen(daemon, container)
        wait_until(lambda: not self.list_of(daemon).exists(), "the guard having thawed it")
        self.assertFalse(self.is_frozen(container))

    def test_next_daemon_and_stop_thaw(self):
        """Where the guard was killed as well."""
        for thaw in (lambda own: own("stop"), lambda own: own.start(*OPTIONS)):
            own = self.daemon(*OPTIONS)
            container = self.start_flood(1 << 20)
            self.kill_while_frozen(own, container, self.guards(own))
            self.assertTrue(self.is_frozen(container))
            self.docker("kill", container, check=False)
            thaw(own)
            self.docker.wait(container)
            own.stop()


if __name__ == "__main__":
    harness.main()
