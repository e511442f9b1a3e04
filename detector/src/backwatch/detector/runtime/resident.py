"""Releases memory that only the start needed: freed heap, and pages of the compiler's library.

Those pages are unchanged copies of the library's file: they stay in the system's page cache, and one that is
needed again is mapped again. So this costs nothing, and it makes the process as small as it is; see ADR 0030.
"""

import ctypes
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LIBRARY: Final = "libllvmlite"
_DONTNEED: Final = 4
_RANGE: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ")


def release_start_up_memory() -> None:
    """Return what the start needed; on systems other than Linux with glibc, does nothing."""
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None, use_errno=True)
    for begin, end in _clean_ranges():
        library.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _DONTNEED)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _clean_ranges() -> Iterator[tuple[int, int]]:
    """Yield read-only mappings of the compiler's library that have no private pages.

    A mapping with such pages holds addresses that the loader wrote before it made it read-only: dropping them would
    bring the file's back.
    """
    try:
        lines = Path("/proc/self/smaps").read_text().splitlines()
    except OSError:
        return
    found: tuple[int, int] | None = None
    for line in lines:
        head = _RANGE.match(line)
        if head is not None:
            is_read_only = LIBRARY in line and head[3][1] == "-" and head[3][0] == "r" and head[3][3] == "p"
            found = (int(head[1], 16), int(head[2], 16)) if is_read_only else None
        elif found is not None and line.startswith("Anonymous:"):
            if line.split()[1] == "0":
                yield found
            found = None
