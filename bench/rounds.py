"""Fair figures on a noisy machine: CPU time, alternated rounds, medians, and one line about the machine."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path


def cpu_s(work: Callable[[], object]) -> float:
    """Return CPU seconds of this process, all threads."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def alternate(variants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return CPU seconds of each variant by round; the order alternates, and a first round is discarded."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    order = list(variants)
    for number in range(rounds + 1):
        for name in order[number % len(order) :] + order[: number % len(order)]:
            spent = cpu_s(variants[name])
            if number:
                found[name].append(spent)
    return found


def ratio(above: list[float], below: list[float]) -> float:
    """Return the median of the rounds' ratios: rounds at the same time are compared."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def machine(*packages: str) -> str:
    """Describe this machine."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"
