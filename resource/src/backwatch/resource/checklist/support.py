"""Until when versions of servers are supported, as of 2026-11-01, from their vendors' pages and endoflife.date."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Final

ENDS: Final[Mapping[str, Mapping[str, str]]] = {
    "postgresql": {
        "13": "2025-11-13", "14": "2026-11-12", "15": "2027-11-11", "16": "2028-11-09", "17": "2029-11-08",
        "18": "2030-11-14",
    },
    "mysql": {"5.7": "2023-10-31", "8.0": "2026-04-30", "8.4": "2032-04-30"},
    "mariadb": {
        "10.5": "2025-06-24", "10.6": "2026-07-06", "10.11": "2028-02-16", "11.4": "2029-05-29", "11.8": "2028-06-04",
    },
    "redis": {"7.0": "2024-07-29", "6.2": "2026-02-28", "7.2": "2026-02-28", "7.4": "2026-11-30"},
    "valkey": {"7.2": "2027-04-16", "8.0": "2027-09-15", "8.1": "2028-03-31"},
    "mongodb": {"5.0": "2024-10-31", "6.0": "2025-07-31", "7.0": "2027-08-31", "8.0": "2029-10-31"},
    "rabbitmq": {"3.13": "2024-12-31", "4.0": "2025-06-30", "4.1": "2025-12-31"},
}  # fmt: skip
"""By product and branch. A branch below all of these ended before; one that is not listed is not judged."""
_NUMBERS: Final = re.compile(r"(\d{1,4})(?:\.(\d{1,4}))?")


def find_end(product: str, version: str, today: dt.date) -> str:
    """Return the day on which a version's support ended, ``earlier``, or nothing: supported, or unknown.

    >>> find_end("postgresql", "13.4", dt.date(2026, 1, 1)), find_end("postgresql", "17.2", dt.date(2026, 1, 1))
    ('2025-11-13', '')
    >>> find_end("redis", "5.0.7", dt.date(2026, 1, 1))
    'earlier'
    """
    if product == "mysql" and "mariadb" in version.lower():
        product, version = "mariadb", re.sub(r"^5\.5\.5-", "", version)
    branches, found = ENDS.get(product), _NUMBERS.match(version)
    if not branches or not found:
        return ""
    numbers = int(found[1]), int(found[2] or 0)
    by_number = {_read_branch(branch): end for branch, end in branches.items()}
    end = by_number.get(numbers) or by_number.get((numbers[0], -1))
    if end:
        return end if dt.date.fromisoformat(end) < today else ""
    return "earlier" if numbers < min(by_number) else ""


def _read_branch(branch: str) -> tuple[int, int]:
    major, _, minor = branch.partition(".")
    return int(major), int(minor) if minor else -1
