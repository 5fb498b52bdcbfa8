"""Processes that are named as a runtime and whose files never answer: the daemon captures and names all
containers as ever, and ends when it is told to."""

import subprocess
import sys
import time

import harness
from harness import DockerTestCase, wait_until

# What anybody may do in a user namespace of his own. Requests are taken, so that no signal ends whoever
# waits for their answers.
SILENT = """
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other"
if libc.mount(b"fuse", b"/etc", b"fuse", 6, options.encode()) != 0:
    raise OSError(ctypes.get_errno(), "mount")
libc.prctl(15, b"dockerd")
print("ready", flush=True)
unique = struct.unpack_from("=IIQ", os.read(fuse, 1 << 20))[2]
os.write(fuse, struct.pack("=IiQ IIIIHHIIHHI28x", 80, 0, unique, 7, 31, 0, 0, 0, 0, 4096, 0, 0, 0, 0))
while True:
    print("asked", len(os.read(fuse, 1 << 20)), flush=True)
"""


class SilentFiles(DockerTestCase):
    def silent(self, *namespaces):
        process = subprocess.Popen(["unshare", "--mount", "--fork", "--kill-child", *namespaces,
                                    sys.executable, "-c", SILENT],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        if b"ready" not in harness.read_line(process.stdout):
            harness.cannot_run("no FUSE")
        return process

    def test_capture_goes_on(self):
        # As root on the host, and as anybody in a container.
        for who, namespaces in (("host", ()), ("container", ("--pid",))):
            with self.subTest(who=who):
                silent = self.silent(*namespaces)
                daemon = self.daemon()
                for number in range(3):
                    begin = time.monotonic()
                    name = f"{who}-{number}"
                    container = self.docker.start("sh", "-c", f"echo {name}; sleep 60",
                                                  options=("--name", name), driver="none")
                    wait_until((daemon.directory(container) / "container.json").exists, "the first record")
                    follower = daemon.follow(container)
                    self.addCleanup(follower.communicate)
                    self.addCleanup(follower.kill)
                    self.assertEqual(harness.read_line(follower.stdout), f"{name}\n".encode())
                    wait_until(lambda: daemon.info(container)["name"] == name, "its name")
                    self.assertLess(time.monotonic() - begin, 20)
                self.assertIn(b"asked", harness.read_line(silent.stdout))
                begin = time.monotonic()
                self.assertEqual(daemon.stop(), 0)
                self.assertLess(time.monotonic() - begin, 20)
                self.assertIsNone(silent.poll())


if __name__ == "__main__":
    harness.main()
