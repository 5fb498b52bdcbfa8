"""Exactly once: daemons that are killed, stopped and started again while containers write."""

import json
import random
import re
import signal

import harness
from harness import DockerTestCase, gap_of

# Numbered lines on both streams, sometimes a line in two writes, and at the end one without newline.
# The pauses spread what is written over many lives of the daemon.
COUNTER = ("i=0; while [ ! -e /stop ]; do i=$((i+1)); echo out $i; printf 'two '; echo parts $i; echo err $i >&2; "
           "[ $((i % 20)) -ne 0 ] || usleep 2000; done; printf \"end $i\"")


class Crash(DockerTestCase):
    kills = 50
    containers = 5

    def ending(self, ids):
        """Ends the counters and returns how far each has counted, by its own account."""
        counts = {}
        for container in ids:
            self.docker.tell(container, "touch /stop")
        for container in ids:
            self.assertEqual(self.docker.wait(container), 0)
            last = self.docker.logs(container)[0].rsplit(b"\n", 1)[-1]
            counts[container] = int(re.fullmatch(rb"end (\d+)", last).group(1))
        return counts

    def check(self, container, count):
        out, err = self.twinlog.whole_logs(container)
        expected_out, expected_err = self.docker.logs(container)
        self.assertSameBytes(out, expected_out, "stdout")
        self.assertSameBytes(err, expected_err, "stderr")
        self.assertEqual(out.count(b"\n"), 2 * count)
        at = {"stdout": 0, "stderr": 0}
        for entry in self.twinlog.entries(container):
            self.assertIsNone(gap_of(entry))
            self.assertEqual(entry.extra.get(1000, [0])[0], at[entry.source])
            at[entry.source] += len(harness.text_of(entry))

    def test_killed_while_containers_write(self):
        seed = random.SystemRandom().randrange(1 << 32)
        chance = random.Random(seed)
        ids = [self.docker.start("sh", "-c", COUNTER) for _ in range(self.containers)]
        follower = self.twinlog.follow(ids[0])
        for _ in range(self.kills):
            # Any moment will do; the next line of a container comes soon, so this waits for an event.
            for _ in range(chance.randrange(1, 40)):
                harness.read_line(follower.stdout)
            self.twinlog.stop(signal.SIGKILL)
            self.twinlog.start()
        counts = self.ending(ids)
        lines = 0
        for container, count in counts.items():
            with self.subTest(seed=seed, container=container):
                self.check(container, count)
            lines += 3 * count
        follower.kill()
        follower.communicate()
        print(f"  ({lines} lines over {self.kills} kills)", flush=True)

    def test_ended_while_no_daemon_ran(self):
        container = self.docker.start("sh", "-c", "echo one; until [ -e /stop ]; do usleep 1000; done; echo two; printf three")
        self.twinlog.stop(signal.SIGKILL)
        self.docker.tell(container, "touch /stop")
        self.docker.wait(container)
        self.twinlog.start()
        self.assertEqual(self.twinlog.whole_logs(container), (b"one\ntwo\nthree", b""))

    def test_born_and_dead_while_no_daemon_ran(self):
        self.twinlog.stop(signal.SIGKILL)
        container = self.docker.run("sh", "-c", "echo nobody; echo looked >&2")
        self.twinlog.start()
        self.assertEqual(self.twinlog.whole_logs(container), (b"nobody\n", b"looked\n"))

    def test_ended_while_nothing_captured(self):
        """When, nobody saw: the last that is known counts, not the moment of the next start."""
        own = self.daemon()
        container = self.docker.start("sh", "-c", "echo one; until [ -e /stop ]; do usleep 1000; done")
        harness.wait_until(lambda: own("logs", container, check=False).stdout == b"one\n", "the line")
        harness.wait_until(lambda: own.info(container)["streams"]["stdout"]["bytes"] == 4, "it is counted")
        own.stop(signal.SIGKILL)
        own("stop", "--discard")
        self.docker.tell(container, "touch /stop")
        self.docker.wait(container)
        own.start()
        info = own.info(container)
        self.assertEqual(info["state"], "ended")
        self.assertEqual(info["ended_ns"], info["streams"]["stdout"]["last_write_ns"])

    def test_renamed_after_its_end(self):
        own = self.daemon()
        containers = [self.docker.run("echo", "one") for _ in range(2)]
        for container in containers:
            own.whole_logs(container)
        own.stop()
        for number, container in enumerate(containers):
            self.docker("rename", container, f"renamed-{number}")
        # Whose it was is not known: nobody may change it.
        path = own.directory(containers[0]) / "container.json"
        info = json.loads(path.read_text())
        self.assertEqual(info.pop("owner"), 0)
        path.write_text(json.dumps(info))
        own.start()
        before = own.info(containers[1])
        harness.wait_until(lambda: own.info(containers[1])["name"] == "renamed-1", "the new name")
        self.assertEqual(own.info(containers[1]), {**before, "name": "renamed-1"})
        self.assertEqual(own.info(containers[0]), info)
        self.assertEqual(own.logs("renamed-1"), (b"one\n", b""))

    def test_begun_line_survives(self):
        container = self.docker.start("sh", "-c", "printf 'begun '; until [ -e /stop ]; do usleep 1000; done; echo ended")
        for _ in range(3):
            self.twinlog.stop(signal.SIGKILL)
            self.twinlog.start()
        self.docker.tell(container, "touch /stop")
        self.docker.wait(container)
        self.assertEqual(self.twinlog.whole_logs(container), (b"begun ended\n", b""))

    def test_kept_over_a_restart_of_the_service(self):
        self.twinlog.stop()
        self.twinlog.start("--on-stop", "keep")
        container = self.docker.start("sh", "-c", COUNTER)
        for _ in range(5):
            self.assertEqual(self.twinlog.stop(), 0)
            self.twinlog.start("--on-stop", "keep")
        self.twinlog.stop()
        self.twinlog.start()
        for container, count in self.ending([container]).items():
            self.check(container, count)

    def test_stop_removes_what_a_dead_daemon_left(self):
        own = self.daemon()
        pins = own.pins()
        own.stop(signal.SIGKILL)
        doctor = harness.run(harness.TWINLOG, "doctor").stdout.decode()
        self.assertIn("programs and records of one still fill a ring", doctor)
        self.assertIn(pins.name, doctor)
        own("stop")
        self.assertFalse(pins.exists())
        self.assertNotIn(pins.name, harness.run(harness.TWINLOG, "doctor").stdout.decode())
        again = own("stop", check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn(b"no twinlog daemon runs with this store", again.stderr)

    def test_stop_writes_what_a_dead_daemon_left(self):
        """What waits in the ring is in no log yet."""
        without = ["setpriv", "--bounding-set=-sys_admin,-bpf,-perfmon"]
        for end in (signal.SIGKILL, signal.SIGTERM):
            own = self.daemon(*(() if end == signal.SIGKILL else ("--on-stop", "keep")))
            pins = own.pins()
            runs = self.docker.start("sh", "-c", "echo one; until [ -e /stop ]; do usleep 1000; done; echo two")
            harness.wait_until(lambda: own("logs", runs, check=False).stdout == b"one\n", "the first line")
            own.stop(end)
            self.docker.exec(runs, "printf meanwhile > /proc/1/fd/1")
            ended = self.docker.run("sh", "-c", "echo nobody; echo looked >&2")
            refused = harness.run(*without, harness.TWINLOG, "stop", "--store", own.store, check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn(b"stays in the kernel", refused.stderr)
            self.assertIn(b"CAP_BPF", refused.stderr)
            self.assertTrue(pins.exists())
            own("stop")
            self.assertFalse(pins.exists())
            self.docker.tell(runs, "touch /stop")
            self.docker.wait(runs)
            self.assertEqual(own.logs(runs), (b"one\nmeanwhile", b""))
            self.assertEqual(own.logs(ended), (b"nobody\n", b"looked\n"))
            self.assertEqual(own.info(ended)["state"], "ended")

    def test_stop_writes_as_the_daemon_did(self):
        own = self.daemon("--format", "raw")
        pins = own.pins()
        own.stop(signal.SIGKILL)
        container = self.docker.run("echo", "kept")
        config = own.store / "twinlog.conf"
        config.write_text("max-file = 0\n")
        refused = own("stop", "--config", config, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"max-file cannot be less than 1", refused.stderr)
        self.assertTrue(pins.exists())
        config.write_text('format = "raw"\n')
        own("stop", "--config", config)
        self.assertFalse(pins.exists())
        self.assertEqual((own.directory(container) / "stdout.log").read_bytes(), b"kept\n")

    def test_another_layout_is_refused(self):
        """Maps of another version are never misread, and the way out works."""
        own = self.daemon()
        pins = own.pins()
        container = self.docker.run("sh", "-c", "echo before")
        self.assertEqual(own.whole_logs(container), (b"before\n", b""))
        own.stop(signal.SIGKILL)
        about = ("map", "lookup", "pinned", pins / "about", "key", "0", "0", "0", "0")
        value = [str(int(byte, 0)) for byte in harness.bpftool(*about)["value"]]
        value[0] = str((int(value[0]) + 1) % 256)
        harness.bpftool("map", "update", *about[2:], "value", *value)
        held = own.entries(container)
        refused = own("run", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"another layout of its maps", refused.stderr)
        self.assertIn(b"twinlog stop", refused.stderr)
        self.assertTrue(pins.exists())
        self.assertIn(pins.name, harness.run(harness.TWINLOG, "doctor").stdout.decode())
        refused = own("stop", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"another layout of its maps", refused.stderr)
        self.assertTrue(pins.exists())
        own("stop", "--discard")
        self.assertFalse(pins.exists())
        own.start()
        self.assertEqual(own.entries(container), held)

    def test_flood_while_no_daemon_runs(self):
        """What waits in the kernel is bounded, and the next daemon tells what did not fit."""
        own = self.daemon("--ring-size", "4m", "--max-size", "-1")
        pins = own.pins()
        own.stop(signal.SIGKILL)

        def memory():
            return [harness.bpftool("map", "show", "pinned", pins / name)["bytes_memlock"]
                    for name in ("events", "output", "streams", "states", "runs", "inits")]

        at_first = memory()
        container = self.docker.run("writer", "flood", "/stop", 64, driver="none")
        self.assertEqual(memory(), at_first)
        own.start("--ring-size", "4m", "--max-size", "-1")
        _, said = own.whole_logs(container)
        written = 64 << 20
        self.assertIn(b"%d\n" % written, said)
        stdout = own.info(container)["streams"]["stdout"]
        self.assertEqual(stdout["bytes"], written)
        logged = sum(len(harness.text_of(e)) for e in own.entries(container)
                     if e.source == "stdout" and gap_of(e) is None)
        self.assertEqual(logged + stdout["lost"], written)
        self.assertGreater(stdout["lost"], 0)

    def test_sigterm_leaves_nothing(self):
        own = self.daemon()
        pins = own.pins()
        self.assertEqual(own.stop(), 0)
        self.assertFalse(pins.exists())
        left = own("stop", check=False)
        self.assertIn(b"no twinlog daemon runs with this store", left.stderr)


if __name__ == "__main__":
    harness.main()
