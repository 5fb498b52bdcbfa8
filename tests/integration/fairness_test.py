"""At nobody else's cost: floods beside quiet containers, and containers that come and go."""

import concurrent.futures
import os

import harness
from harness import DockerTestCase, read_line, text_of

# Numbered lines with the container's own name in them, one each tenth of a second; `go` and `stop` are
# events from outside.
QUIET = ("until [ -e /run/go ]; do usleep 10000; done; i=0; while [ $i -lt 20 ]; do i=$((i+1)); "
         "echo $NAME $i; usleep 100000; done")


class Fairness(DockerTestCase):
    # The flooders' files are of no interest, only what was counted of them.
    daemon_options = ("--max-size", "4m", "--max-file", "2", "--no-compress", "--ring-size", "16m")

    def quiet_containers(self, count, shared):
        names = [f"quiet-{os.getpid()}-{i}" for i in range(count)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            ids = list(pool.map(
                lambda name: self.docker.start("sh", "-c", QUIET, driver="none",
                                               options=("-v", f"{shared}:/run:ro", "-e", f"NAME={name}")),
                names))
        return dict(zip(ids, names))

    def flood(self, flooders, quiet, options=()):
        shared = self.docker.directory / f"shared-{flooders}"
        shared.mkdir()
        others = self.quiet_containers(quiet, shared)
        floods = [self.docker.start("writer", "flood", "/run/stop", driver="none",
                                    options=("-v", f"{shared}:/run:ro", *options))
                  for _ in range(flooders)]
        (shared / "go").touch()
        for container in others:
            self.assertEqual(self.docker.wait(container), 0)
        (shared / "stop").touch()
        for container, name in others.items():
            out, err = self.twinlog.whole_logs(container)
            self.assertEqual(out.decode(), "".join(f"{name} {i}\n" for i in range(1, 21)))
            self.assertEqual(err, b"")
        total, lost = 0, 0
        for container in floods:
            self.assertEqual(self.docker.wait(container), 0)
            _, err = self.twinlog.whole_logs(container)
            # Its own account, among what twinlog says about gaps.
            (written,) = (int(line) for line in err.splitlines() if line.isdigit())
            stdout = self.twinlog.info(container)["streams"]["stdout"]
            self.assertEqual(stdout["bytes"], written)
            entries = [e for e in self.twinlog.entries(container) if e.source.endswith("stdout")]
            last = entries[-1]
            size = len(text_of(last)) if harness.gap_of(last) is None else harness.gap_of(last)
            self.assertEqual(last.extra[1000][0] + size, written)
            total += written
            lost += stdout["lost"]
        print(f"  ({flooders} flooders wrote {total} bytes, {lost} of them in gaps; {quiet} quiet "
              f"containers lost nothing)", flush=True)

    def test_one_flood(self):
        self.flood(1, 20)

    def test_ten_floods(self):
        # Each has little of the processors, so that the quiet ones get to run at all.
        self.flood(10, 10, ("--cpus", "0.15"))


class Churn(DockerTestCase):
    def test_containers_that_come_and_go(self):
        """No line in another's log, none missing, whoever had the pid or the inode before. By hand:
        CHURN=1000 CHURN_AT_ONCE=50."""
        count, lines = int(os.environ.get("CHURN", "40")), 20
        script = f'for i in $(seq {lines}); do echo $NAME out $i; echo $NAME err $i >&2; done'

        def one(number):
            name = f"churn-{os.getpid()}-{number}"
            self.docker("run", "--rm", "--name", name, "--network", "none", "--log-driver", "none",
                        "-e", f"NAME={name}", harness.IMAGE, "sh", "-c", script, timeout=300)
            return name

        with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("CHURN_AT_ONCE", "8"))) as pool:
            names = list(pool.map(one, range(count)))
        wrong = 0
        for name in names:
            out, err = self.twinlog.whole_logs(name)
            for stream, text in (("out", out), ("err", err)):
                wrong += sum(not line.startswith(name + " ") for line in text.decode().splitlines())
                self.assertEqual(text.decode(), "".join(f"{name} {stream} {i}\n" for i in range(1, lines + 1)))
        self.assertEqual(wrong, 0)
        print(f"  ({count} containers, {2 * lines * count} lines, {wrong} of them in another's log)", flush=True)

    def test_frozen_container(self):
        container = self.docker.start("sh", "-c", "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; usleep 1000; done")
        self.twinlog.wait_until_known(container)
        follower = self.twinlog.follow(container)
        for _ in range(3):
            read_line(follower.stdout)
            self.docker("pause", container)
            self.docker("unpause", container)
        follower.kill()
        follower.communicate()
        self.docker.tell(container, "touch /stop")
        self.docker.wait(container)
        self.assertEqual(self.twinlog.whole_logs(container), self.docker.logs(container))

    def test_shared_namespaces(self):
        first = self.docker.start("sh", "-c", "echo first; until [ -e /stop ]; do usleep 1000; done")
        second = self.docker.run("sh", "-c", "echo second; echo second >&2",
                                 options=("--pid", f"container:{first}"))
        third = self.docker.run("sh", "-c", "echo third", options=("--cgroupns", "host", "--init"))
        self.docker.tell(first, "touch /stop")
        self.docker.wait(first)
        for container in (first, second, third):
            self.assertEqual(self.twinlog.whole_logs(container), self.docker.logs(container))


if __name__ == "__main__":
    harness.main()
