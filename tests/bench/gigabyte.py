"""Reading as in reading.py, of a GB: dockerd needs ten minutes for that."""

from common import daemon
from reading import LINE, compare


def measure(bench):
    with daemon("--max-size", "-1") as twinlog:
        compare(bench, twinlog, "json-file", 10**9 // LINE)
