"""Figures of a running process from ``/proc``: memory, CPU, open files, threads; and the slope of a series."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One snapshot of a process.

    Attributes:
        rss_bytes, peak_bytes: Resident memory now, and its maximum so far.
        own_bytes: The part of it that belongs to no file.
        cpu_s: User and system time so far.
    """

    rss_bytes: int
    peak_bytes: int
    own_bytes: int
    cpu_s: float
    files: int
    threads: int


def read_process(pid: int | str = "self") -> Reading:
    """Read a process's figures."""
    folder = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
    kilobytes = {name: int(status[name].split()[0]) << 10 for name in ("VmRSS", "VmHWM", "RssAnon")}
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return Reading(
        rss_bytes=kilobytes["VmRSS"], peak_bytes=kilobytes["VmHWM"], own_bytes=kilobytes["RssAnon"],
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS, files=sum(1 for _ in (folder / "fd").iterdir()),
        threads=int(status["Threads"]),
    )  # fmt: skip


def slope(at: Sequence[float], values: Sequence[float]) -> float:
    """Least-squares slope of ``values`` over ``at``; 0 for fewer than two points."""
    count = len(at)
    if count < 2:
        return 0.0
    mean_at, mean = sum(at) / count, sum(values) / count
    above = sum((x - mean_at) * (y - mean) for x, y in zip(at, values, strict=True))
    return above / (sum((x - mean_at) ** 2 for x in at) or 1.0)
