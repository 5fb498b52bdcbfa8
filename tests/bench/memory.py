"""What the daemon has while containers of dockerd are there and nothing happens."""

import concurrent.futures
import time

from common import daemon, say
from processes import cpu_seconds, memory, wait_until_idle

IDLE = 5  # seconds


def measure(bench):
    # Once: memory is not noisy, and this takes long.
    with daemon() as twinlog:
        pid = twinlog.process.pid
        started = []
        for count in (1, 10 if bench.small else 100):
            say(f"memory: {count} containers")
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                started += pool.map(lambda _: bench.docker.start("sleep", "1000000", driver="none"),
                                    range(count - len(started)))
            wait_until_idle(pid, window=1, deadline=10)
            used = memory(pid)
            before = cpu_seconds(pid)
            time.sleep(IDLE)
            idle = (cpu_seconds(pid) - before) / IDLE
            for what, key in (("own memory", "RssAnon"), ("BPF maps", "maps"),
                              ("RSS, which counts the mapped ring twice", "VmRSS")):
                bench.figures.fact("memory", f"{count} containers: {what}", "MiB", "twinlog", [used[key] / 2**20])
            bench.figures.fact("memory", f"{count} containers: CPU while nothing happens", "ms/s", "twinlog",
                               [1000 * idle])
        bench.docker("rm", "-f", *started, timeout=300)
