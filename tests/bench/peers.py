"""Others that show what a process writes: each traces some processes while its context lasts."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time

from common import Unavailable

STARTS = 30  # seconds that one may take until it shows something
SHOWN = 4096  # bytes of output after which it surely does: less may be a greeting


def complaint(file):
    """Why it ended: its last error, or else the last line; bpftrace marks the place below its error."""
    file.seek(0)
    said = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in said if "error" in line.lower() and "RLIMIT_MEMLOCK" not in line]
    return (errors or said or ["nothing said"])[-1]


@contextlib.contextmanager
def _tracer(argv, poke, **environment):
    """poke(): makes a traced process write some. What is shown goes to a file, as somebody who wants
    to keep it would have it."""
    with tempfile.TemporaryFile(prefix="twinlog-bench-") as output:
        try:
            process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=output, env={**os.environ, **environment})
        except FileNotFoundError:
            raise Unavailable(f"{argv[0]} is not installed") from None
        try:
            deadline = time.monotonic() + STARTS
            while os.fstat(output.fileno()).st_size < SHOWN:
                if process.poll() is not None:
                    raise Unavailable(complaint(output))
                if time.monotonic() > deadline:
                    raise Unavailable(f"shows nothing within {STARTS} s")
                poke()
                time.sleep(0.05)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(STARTS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def strace(pids, poke):
    attach = [word for pid in pids for word in ("-p", pid)]
    return _tracer(["strace", "-f", "-e", "trace=write", "-s", 65536, *attach], poke)


def bpftrace(pids, poke):
    """Of each write what this bpftrace can copy, 200 bytes."""
    ours = " || ".join(f"pid == {pid}" for pid in pids)
    script = f'tracepoint:syscalls:sys_enter_write /{ours}/ {{ printf("%r\\n", buf(args->buf, args->count)); }}'
    return _tracer(["bpftrace", "-e", script], poke, BPFTRACE_STRLEN="200")


def perf_trace(pids, poke):
    """No contents, only that something was written."""
    return _tracer(["perf", "trace", "-e", "write", "-p", ",".join(map(str, pids))], poke)


def sysdig(pids, poke):
    ours = ",".join(map(str, pids))
    return _tracer(["sysdig", "-s", "65535", f"evt.type=write and proc.pid in ({ours})"], poke)
