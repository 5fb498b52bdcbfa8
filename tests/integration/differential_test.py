"""One run of a container, read twice: what dockerd kept of it and what twinlog kept of it must be the
same, byte for byte per stream and entry for entry.

dockerd's json-file driver is the reference where the content is valid UTF-8; for other content it is
the file of its local driver, which alone keeps all bytes (its reader does not: 20.10 joins lines)."""

import collections

import harness
from harness import DockerTestCase, text_of

HOST = ("-v", "/usr:/usr:ro")  # makes Debian's own programs usable in the image

PYTHON_BINARY = """
import os, sys
for i in range(200):
    print("print", i, "x" * (i * 37 % 300))
    sys.stderr.write("err %d\\n" % i)
sys.stdout.flush()
os.write(1, b"os.write\\n")
os.writev(1, [b"os.", b"", b"writev\\n"])
sys.stdout.write("no newline")
"""

# name: (driver, options, command)
CASES = {
    "sh_echo": ("json-file", (), ("sh", "-c", "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done")),
    "sh_echo_both": ("json-file", (), ("sh", "-c", "for i in 1 2 3 4 5 6; do echo o$i; echo e$i >&2; done")),
    "sh_printf_open": ("json-file", (), ("sh", "-c", "printf one; printf two; printf '\\nthree'; printf four >&2")),
    "sh_joined": ("json-file", (), ("sh", "-c", "exec 2>&1; for i in 1 2 3; do echo o$i; echo e$i >&2; done")),
    "sh_pipeline": ("json-file", (), ("sh", "-c", "seq 1 3000 | while read n; do echo \"n $n\"; done | sed s/n/m/")),
    "sh_dev_stderr": ("json-file", (), ("sh", "-c", "echo a >/dev/stderr; echo b >/dev/stdout; echo c >/proc/1/fd/2")),
    "sh_exec_chain": ("json-file", (), ("sh", "-c", "echo 1; exec sh -c 'echo 2; exec sh -c \"echo 3; exec echo 4\"'")),
    "sh_background": ("json-file", (), ("sh", "-c", "(echo child; echo child2 >&2) & wait; echo parent")),
    "one_line": ("json-file", (), ("echo", "hello world")),
    "one_byte": ("json-file", (), ("printf", "x")),
    "nothing": ("json-file", (), ("true",)),
    "no_such_file": ("json-file", (), ("ls", "/no/such/file")),
    "write": ("json-file", (), ("writer", "write", "3000")),
    "writev": ("json-file", (), ("writer", "writev")),
    "pwritev2": ("json-file", (), ("writer", "pwritev2")),
    "espipe": ("json-file", (), ("writer", "espipe")),
    "mib": ("json-file", (), ("writer", "mib")),
    "nonblock": ("json-file", (), ("writer", "nonblock")),
    "signal": ("json-file", (), ("writer", "signal")),
    "signal_restart": ("json-file", (), ("writer", "signal", "restart")),
    "efault": ("json-file", (), ("writer", "efault")),
    "sizes": ("local", (), ("writer", "sizes")),
    "length_16383": ("json-file", (), ("writer", "length", "16383", "5", "open")),
    "length_16384": ("json-file", (), ("writer", "length", "16384", "5", "open")),
    "length_16385": ("json-file", (), ("writer", "length", "16385", "5", "open")),
    "length_65536": ("local", (), ("writer", "length", "65536", "5", "open")),
    "pieces": ("json-file", (), ("writer", "pieces")),
    "nul": ("json-file", (), ("writer", "nul")),
    "utf8": ("json-file", (), ("writer", "utf8")),
    "invalid_utf8": ("local", (), ("writer", "invalid-utf8")),
    "bytes": ("local", (), ("writer", "bytes")),
    "crlf": ("json-file", (), ("writer", "crlf")),
    "open_end": ("json-file", (), ("writer", "open-end")),
    "empty_lines": ("json-file", (), ("writer", "empty-lines")),
    "stdio": ("json-file", (), ("writer", "stdio")),
    "dup": ("json-file", (), ("writer", "dup")),
    "reopen": ("json-file", (), ("writer", "reopen")),
    "joined": ("json-file", (), ("writer", "joined")),
    "interleaved": ("json-file", (), ("writer", "interleaved", "4000")),
    "passed": ("json-file", (), ("writer", "passed")),
    "chain": ("json-file", (), ("writer", "chain", "20")),
    "killed": ("json-file", (), ("writer", "killed")),
    "orphan": ("json-file", (), ("writer", "orphan")),
    "init": ("json-file", ("--init",), ("writer", "stdio")),
    "host_pid": ("json-file", ("--pid", "host"), ("writer", "write")),
    "tty": ("json-file", ("-t",), ("printf", "no line end on a terminal")),
    "debian_python": ("json-file", HOST, ("/usr/bin/python3", "-c", PYTHON_BINARY)),
    "debian_awk": ("json-file", HOST, ("/usr/bin/mawk", "BEGIN { for (i = 0; i < 5000; i++) print i, i * i }")),
    "debian_dd": ("local", HOST, ("/usr/bin/dd", "if=/dev/urandom", "bs=70000", "count=20", "status=none")),
    "debian_head": ("local", HOST, ("/usr/bin/head", "-c", "1000000", "/dev/urandom")),
    "debian_bash": ("json-file", HOST, ("/usr/bin/bash", "-c", "for i in {1..500}; do echo $i; done; echo >&2 x")),
    "busybox_dd": ("json-file", (), ("sh", "-c", "yes | dd bs=1000 count=1000 iflag=fullblock")),
    "busybox_head": ("json-file", (), ("sh", "-c", "yes 'some line' | head -n 50000")),
}
for case in ("write", "writev", "pwritev2", "mib", "nonblock", "efault", "chain", "stdio"):
    CASES[f"bits32_{case}"] = ("json-file", (), ("writer32", case))
for seed in range(1, 21):
    CASES[f"random_{seed}"] = ("local", (), ("writer", "random", str(seed), "120"))

# Several processes or threads write at once.
CONCURRENT = {
    "threads": ("writer", "threads"),
    "forks": ("writer", "forks"),
    "threads32": ("writer32", "threads"),
}


class Differential(DockerTestCase):
    def need(self, command):
        if command[0] == "writer32":
            harness.need_32_bit()

    def compare(self, driver, options, command):
        self.need(command)
        container = self.docker.start(*command, driver=driver, options=options)
        # A writer that could not do what its case is about says so by its status.
        self.assertEqual(self.docker.wait(container), 1 if command[0] == "ls" else 0)
        entries = self.compare_ended(container, driver)
        # That both have nothing is the same, too.
        self.assertEqual(bool(entries), command != ("true",))
        self.docker("rm", container)

    def compare_concurrent(self, command):
        self.need(command)
        container = self.docker.start(*command)
        self.assertEqual(self.docker.wait(container), 0)
        out, err = self.twinlog.whole_logs(container)
        expected_out, expected_err = self.docker.logs(container)
        self.assertSameBytes(err, expected_err, "stderr")
        # Not only the same lines: the order in which they went through the pipe.
        self.assertSameBytes(out, expected_out, "stdout")
        ours = out.splitlines()
        self.assertTrue(ours)
        numbers = collections.defaultdict(list)
        for line in ours:
            name, writer, number = line.split(b" ")[:3]
            numbers[name, writer].append(int(number))
        for writer, seen in numbers.items():
            self.assertEqual(seen, sorted(seen), f"order of {writer}")
        lines = [text_of(e)[:-1] for e in self.twinlog.entries(container)]
        self.assertEqual(lines, ours, "one entry a line")
        self.docker("rm", container)

    def test_killed_from_outside(self):
        container = self.docker.start("writer", "forever")
        follower = self.docker.popen("logs", "-f", container, stdout=harness.subprocess.PIPE)
        harness.read_line(follower.stdout)
        self.docker("kill", container)
        self.docker.wait(container)
        follower.kill()
        follower.communicate()
        out, _ = self.twinlog.whole_logs(container)
        self.assertSameBytes(out, self.docker.logs(container)[0], "stdout")


def _add(name, method):
    method.__name__ = f"test_{name}"
    setattr(Differential, method.__name__, method)


for _name, _case in CASES.items():
    _add(_name, lambda self, case=_case: self.compare(*case))
for _name, _command in CONCURRENT.items():
    _add(_name, lambda self, command=_command: self.compare_concurrent(command))

if __name__ == "__main__":
    harness.main()
