"""What the kernel tells about processes that are measured."""

import pathlib
import time


def cpu_seconds(pid):
    """Time that all threads of a process that still live have used; to the microsecond, unlike the
    ticks in /proc/PID/stat."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            continue  # a thread that has just ended
    return total / 1e9


def parent(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_until_idle(*pids, window=0.25, deadline=120):
    """Returns the moment since which the processes have done next to nothing."""
    end = time.monotonic() + deadline
    since, used = time.monotonic(), sum(map(cpu_seconds, pids))
    while True:
        time.sleep(0.01)
        now, used_now = time.monotonic(), sum(map(cpu_seconds, pids))
        if used_now - used > 0.004 * (now - since) + 0.002:
            since, used = now, used_now
        if now - since >= window or now > end:
            return since


def memory(pid):
    """Bytes by kind: what is its own, what of files it has touched, and its BPF maps."""
    kinds = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key in ("VmRSS", "RssAnon", "RssFile"):
            kinds[key] = int(value.split()[0]) * 1024
    maps = {}
    for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        except FileNotFoundError:
            continue
        if "map_id" in fields:
            maps[fields["map_id"].strip()] = int(fields["memlock"])
    kinds["maps"] = sum(maps.values())
    return kinds
