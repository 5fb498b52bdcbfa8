"""Containers that print lines when they are told to (lines.c), of dockerd and of podman."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import harness
from common import BENCH, Unavailable
from processes import parent


class Printer:
    """What all have: the FIFOs, and a command for the container."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="twinlog-bench-")
        path = pathlib.Path(self.directory.name)
        self.ends = []
        for fifo in ("orders", "reports"):
            os.mkfifo(path / fifo)
            # Open at both ends, which waits for nobody.
            self.ends.append(os.fdopen(os.open(path / fifo, os.O_RDWR), "r+b", buffering=0))
        self.orders, self.reports = self.ends
        self.volumes = ("-v", f"{BENCH}:/bench:ro", "-v", f"{path}:/fifos")
        self.command = ("/bench/bench_tool", "lines", "/fifos")

    def order(self, size, block, count=0, seconds=0, rate=0):
        self.orders.write(f"{size} {block} {count} {seconds} {rate}\n".encode())

    def report(self, deadline=600):
        """Lines and seconds, once all that was ordered is written."""
        lines, ns = map(int, harness.read_line(self.reports, deadline).split())
        return lines, ns / 1e9

    def print(self, *order, **options):
        self.order(*order, **options)
        return self.report()

    def empty_log(self):
        """What whoever logs has written so far: a file that grew on would be made of memory that the next
        one to be measured would have had."""
        for log in self.logs():
            os.truncate(log, 0)

    def hang_up(self):
        """The container ends when it has done what it was told."""
        self.orders.close()

    def close(self):
        for end in self.ends:
            end.close()
        self.directory.cleanup()


class DockerPrinter(Printer):
    def __init__(self, docker, driver, *options):
        super().__init__()
        self.docker = docker
        self.container = docker.start(*self.command, driver=driver, options=(*self.volumes, *options))

    def shim(self):
        """The process that reads the container's pipes."""
        return parent(int(self.docker("inspect", "-f", "{{.State.Pid}}", self.container).stdout))

    def logs(self):
        directory = self.docker.container_directory(self.container)
        return [*directory.glob("*-json.log"), *directory.glob("local-logs/container.log")]

    def end(self):
        self.hang_up()
        self.docker.wait(self.container, timeout=600)

    def close(self):
        self.docker("rm", "-f", self.container, timeout=120)
        super().close()


class Podman:
    """With nothing of it outside of a directory of its own. runc and limits of our own, because hosts
    with both versions of cgroups, and those that may not raise a limit, refuse the defaults."""

    def __init__(self):
        if not shutil.which("podman"):
            raise Unavailable("podman is not installed")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-podman-"))
        self.argv = ["podman", "--root", self.directory / "root", "--runroot", self.directory / "run", "--tmpdir",
                     self.directory / "tmp", "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs",
                     "--events-backend", "file", "--runtime", "runc"]

    def __call__(self, *arguments, **options):
        return harness.run(*self.argv, *arguments, **options)

    def start(self, volumes, command):
        done = self("run", "-d", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--network", "none",
                    "--log-driver", "k8s-file", *volumes, harness.IMAGE, *command, check=False)
        if done.returncode != 0:
            raise Unavailable(done.stderr.decode(errors="replace").strip().splitlines()[-1])
        return done.stdout.decode().strip()

    def import_image(self, docker):
        """dockerd's own."""
        with tempfile.NamedTemporaryFile(prefix="twinlog-bench-") as file:
            docker("save", "-o", file.name, harness.IMAGE)
            done = self("load", "-i", file.name, check=False)
        if done.returncode != 0:
            raise Unavailable(done.stderr.decode(errors="replace").strip().splitlines()[-1])

    def close(self):
        # What podman has mounted, its own layers' files, is for it to take away.
        self("rm", "-f", "-a", "-t", "0", check=False)
        self("rmi", "-f", "-a", check=False)
        mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        for mount in sorted((line.split()[4] for line in mounts), reverse=True):
            if mount.startswith(f"{self.directory}/"):
                harness.run("umount", "-l", mount, check=False)
        harness.run("rm", "-rf", "--one-file-system", self.directory)


class PodmanPrinter(Printer):
    def __init__(self, docker):
        super().__init__()
        self.podman = Podman()
        try:
            self.podman.import_image(docker)
            self.container = self.podman.start(self.volumes, self.command)
        except BaseException:
            self.close()
            raise

    def shim(self):
        file = self.podman("inspect", "-f", "{{.ConmonPidFile}}", self.container).stdout.decode().strip()
        return int(pathlib.Path(file).read_text())

    def logs(self):
        return list(self.podman.directory.rglob("ctr.log"))

    def close(self):
        self.podman.close()
        super().close()


def dockerd_pid(docker):
    return int((docker.directory / "pid").read_text())


def wait_until_recorded(twinlog, container):
    """What is known of the stdout of a container that has ended."""
    deadline = time.monotonic() + 10 * harness.DEADLINE
    while twinlog.info(container)["state"] != "ended":
        if time.monotonic() > deadline:
            raise RuntimeError(twinlog.state(container))
        time.sleep(0.02)
    return twinlog.info(container)["streams"]["stdout"]


def lines_in(argv):
    """How many a command prints, counted by another process: they may be many."""
    printing = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)
    counted = subprocess.run(["wc", "-l"], stdin=printing.stdout, stdout=subprocess.PIPE, check=True).stdout
    printing.stdout.close()
    printing.wait()
    return int(counted)
