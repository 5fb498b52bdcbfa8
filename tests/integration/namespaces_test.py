"""Who a container is where that is not plain: other namespaces, nested ones, a dockerd that comes back."""

import os
import pathlib
import subprocess
import tempfile
import unittest

import harness
from harness import DaemonTestCase, Dockerd, DockerTestCase, wait_until
from sinks import cgroup_mount, remove_cgroup

# Numbered lines that bear a name, until a file is there.
NAMED = 'i=0; until [ -e /stop ]; do i=$((i+1)); echo "$NAME" out $i; echo "$NAME" err $i >&2; usleep 500; done'


class Namespaces(DockerTestCase):
    def test_host_pids(self):
        ids = [self.docker.start("sh", "-c", NAMED, options=("--pid", "host", "-e", f"NAME=host-{i}", *more))
               for i, more in enumerate(((), ("--init",), ("--cgroupns", "host")))]
        for number, container in enumerate(ids):
            self.twinlog.wait_until_known(container)
            follower = self.twinlog.follow(container)
            self.assertEqual(harness.read_line(follower.stdout).split()[0], b"host-%d" % number)
            follower.kill()
            follower.communicate()
            self.docker.tell(container, "touch /stop")
            self.docker.wait(container)
            self.assertEqual(self.twinlog.whole_logs(container), self.docker.logs(container))

    def test_restarts(self):
        """The same container, other pipes and another cgroup: one log, runs told apart."""
        name = f"restarts-{self.docker.directory.name}"
        container = self.docker.start("sh", "-c", "echo run; echo error >&2", options=("--name", name))
        for _ in range(5):
            self.docker.wait(container)
            self.docker("start", container)
        self.docker.wait(container)
        wait_until(lambda: self.twinlog.info(container)["run"] == 6, "the sixth run")
        self.assertEqual(self.twinlog.whole_logs(container), (b"run\n" * 6, b"error\n" * 6))
        self.assertEqual(self.twinlog.info(container)["name"], name)

    def test_containers_of_a_container(self):
        """A dockerd in a container: what it runs are containers of their own."""
        shared = self.docker.directory / "nested"
        shared.mkdir()
        script = """
            set -e
            export PATH=$PATH:/usr/sbin
            mount -t tmpfs none /tmp
            dockerd --data-root /data --exec-root /tmp/exec --host unix:///tmp/docker.sock --pidfile /tmp/pid \\
                --bridge none --iptables=false >/shared/dockerd.log 2>&1 &
            export DOCKER_HOST=unix:///tmp/docker.sock
            until docker info >/dev/null 2>&1; do kill -0 $!; usleep 100000; done
            tar -C / -c bin lib lib64 | docker import --change 'ENV PATH=/bin' - bb >/dev/null
            for i in 1 2; do
                docker run -d --network none --name inner-$i bb sh -c "echo inner-$i out; echo inner-$i err >&2" >/shared/id-$i
                echo outer $i
                docker wait inner-$i >/dev/null
            done
            docker rm inner-1 inner-2 >/dev/null
            kill $(cat /tmp/pid)
            wait
        """
        # Not --privileged, for which hosts in containers themselves may lack rights.
        outer = self.docker.start("sh", "-c", script, options=(
            "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--security-opt", "seccomp=unconfined",
            "--security-opt", "apparmor=unconfined", "--device-cgroup-rule", "a *:* rwm", "--cgroupns", "host",
            "-v", "/sys/fs/cgroup:/sys/fs/cgroup", "-v", "/usr:/usr:ro", "-v", f"{shared}:/shared", "-v", "/data"))
        status = self.docker.wait(outer)
        log = shared / "dockerd.log"
        self.assertEqual(status, 0, (self.docker.logs(outer), log.read_text()[-2000:] if log.exists() else ""))
        self.assertEqual(self.twinlog.whole_logs(outer), self.docker.logs(outer))
        self.assertEqual(self.twinlog.whole_logs(outer)[0], b"outer 1\nouter 2\n")
        for i in (1, 2):
            inner = (shared / f"id-{i}").read_text().strip()
            self.assertEqual(self.twinlog.whole_logs(inner), (b"inner-%d out\n" % i, b"inner-%d err\n" % i))


class UserNamespaces(DaemonTestCase):
    """dockerd --userns-remap: root in a container is nobody outside."""

    @classmethod
    def before_daemon(cls):
        # Its files of subordinate ids are seen by that dockerd alone.
        script = """
            file=$(mktemp)
            echo nobody:300000:65536 >"$file"
            touch /etc/subuid /etc/subgid
            mount --bind "$file" /etc/subuid
            mount --bind "$file" /etc/subgid
            rm "$file"
            exec "$@"
        """
        cls.docker = Dockerd("--userns-remap", "nobody:nogroup", within=("unshare", "-m", "sh", "-ec", script, "sh"))
        cls.addClassCleanup(cls.docker.stop)

    def test_remapped_root(self):
        name = f"remapped-{self.docker.directory.name}"
        container = self.docker.run("sh", "-c", "cat /proc/self/uid_map; echo error >&2", options=("--name", name))
        out, err = self.twinlog.whole_logs(container)
        self.assertEqual((out, err), self.docker.logs(container))
        self.assertEqual(out.split()[1], b"300000")
        self.assertEqual(self.twinlog.info(container)["name"], name)


class KeptCgroup(DaemonTestCase):
    def test_runs_that_follow_at_once(self):
        """One group for all runs of a container, and a stdout that somebody else holds: the last run is
        not over for the daemon when the next one begins."""
        cgroup = pathlib.Path(cgroup_mount()) / os.urandom(32).hex()
        cgroup.mkdir()
        self.addCleanup(remove_cgroup, cgroup)
        with tempfile.NamedTemporaryFile(prefix="twinlog-kept-") as stdout:
            for run in range(4):
                subprocess.run(
                    ["sh", "-c", f'echo $$ >{cgroup}/cgroup.procs; exec unshare --mount --pid --fork sh -c "$0"',
                     f"echo run {run}; echo error {run} >&2"],
                    stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, check=True)
        self.twinlog.wait_until_known(cgroup.name)
        # Who follows one run has its end when the next one begins.
        wait_until(lambda: self.twinlog.info(cgroup.name)["run"] == 4, "the fourth run")
        self.assertEqual(self.twinlog.whole_logs(cgroup.name),
                         (b"".join(b"run %d\n" % run for run in range(4)),
                          b"".join(b"error %d\n" % run for run in range(4))))


class LiveRestore(DaemonTestCase):
    """dockerd --live-restore: its containers write on while it is away."""

    @classmethod
    def before_daemon(cls):
        cls.docker = Dockerd("--live-restore")
        cls.addClassCleanup(cls.docker.stop)

    def test_dockerd_restarts(self):
        ids = [self.docker.start("sh", "-c", NAMED, options=("-e", f"NAME=live-{i}")) for i in range(3)]
        for container in ids:
            self.twinlog.wait_until_known(container)
        followers = [self.twinlog.follow(container) for container in ids]
        for _ in range(2):
            for follower in followers:
                harness.read_line(follower.stdout)
            self.docker.end()
            for follower in followers:
                harness.read_line(follower.stdout)
            self.docker.launch()
        for follower in followers:
            follower.kill()
            follower.communicate()
        for number, container in enumerate(ids):
            self.docker.tell(container, "touch /stop")
            self.docker.wait(container)
            logged = self.twinlog.whole_logs(container)
            self.assertEqual(logged, self.docker.logs(container))
            for stream, text in zip(("out", "err"), logged):
                lines = text.decode().splitlines()
                self.assertEqual(lines, [f"live-{number} {stream} {i}" for i in range(1, len(lines) + 1)])


if __name__ == "__main__":
    harness.main()
