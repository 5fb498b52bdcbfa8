"""A process that times system calls of its own when asked (calls.c)."""

import os
import subprocess

from common import BENCH


class Calls:
    def __init__(self):
        questions, self.questions = os.pipe()
        self.answers, answers = os.pipe()
        self.process = subprocess.Popen(
            [BENCH / "bench_tool", "calls", str(questions), str(answers)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(questions, answers))
        os.close(questions)
        os.close(answers)
        self.reader = os.fdopen(self.answers, "r")
        self.pid = self.process.pid

    def times(self, kind, size=1, count=100_000):
        """Seconds on the clock and of the processor, of all the calls."""
        os.write(self.questions, f"{kind} {size} {count}\n".encode())
        answer = self.reader.readline()
        if not answer:
            raise RuntimeError(f"bench_tool ended with {self.process.wait()}")
        wall, cpu = map(int, answer.split())
        return wall / 1e9, cpu / 1e9

    def ns(self, kind, size=1, count=100_000):
        """Time of one call: on the clock where it may have to wait for another, else the
        processor's, which knows nothing of what else the machine does."""
        wall, cpu = self.times(kind, size, count)
        return 1e9 * (wall if kind == "drained" else cpu) / count

    def close(self):
        os.close(self.questions)
        self.process.wait()
        self.reader.close()
