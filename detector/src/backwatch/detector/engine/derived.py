"""Columns that are read out of a text: the end of a certificate as a number, the host of a redirect's target.

Kernels see texts as keyed hashes only, so what they must compute with is read here, once per distinct text. A cache
of pure functions: it may be dropped at any moment and no result changes.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names

NOT_AFTER: Final = "tls.server.not_after.ns"
"""``tls.server.not_after`` in nanoseconds since the epoch, UTC; -1: not told, or not a time."""
REDIRECT_HOST: Final = "backwatch.redirect.host"
"""Keyed hash of the host in ``backwatch.redirect.target``, comparable with ``server.address``; 0: not told, or no
host."""

CACHED: Final = 10_000
_HOST: Final = re.compile(
    r"(?:[a-z][a-z0-9+.-]*:)?(?://)?(?:[^/?#@]*@)?(\[[^\]/]*\]|[^/?#@:\[]*)(?::\d{1,5})?(?:[/?#].*)?",
    re.IGNORECASE | re.DOTALL,
)


def instant_ns(text: str) -> int:
    """A time of RFC 3339 in nanoseconds since the epoch; -1 where it is none, or before the epoch.

    >>> instant_ns("2026-01-01T00:00:00Z"), instant_ns("soon")
    (1767225600000000000, -1)
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return -1
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        return max(int(found.timestamp()), -1) * 1_000_000_000 if found.timestamp() >= 0 else -1
    except (OverflowError, ValueError):
        return -1


def redirect_host(target: str) -> str:
    """The host of a redirect's target, lower-cased, without brackets; empty where there is none.

    >>> redirect_host("https://User@Example.org:443/a"), redirect_host("10.0.0.7:6379"), redirect_host("http://[::1]/")
    ('example.org', '10.0.0.7', '::1')
    >>> redirect_host("/login")
    ''
    """
    found = _HOST.fullmatch(target[:2_000])
    return found[1].strip("[]").lower() if found else ""


class Derived:
    """Reads the derived columns of batches, remembering distinct texts."""

    def __init__(self, hash_text: Callable[[bytes], int]) -> None:
        self._hash = hash_text
        self._known: dict[tuple[str, int], int] = {}

    def columns(self, columns: Mapping[str, NDArray[Any]], text: Callable[[str, int], str]) -> dict[str, NDArray[Any]]:
        """The derived columns.

        Args:
            columns: The texts' keyed hashes by contract name.
            text: A fact's text by its name and a row.
        """

        def host(told: str) -> int:
            found = redirect_host(told)
            return self._hash(found.encode()) if found else 0

        return {
            NOT_AFTER: self._read(names.CERT_NOT_AFTER, columns, text, instant_ns, -1).astype(np.int64),
            REDIRECT_HOST: self._read(names.REDIRECT_TARGET, columns, text, host, 0),
        }

    def _read(
        self,
        name: str,
        columns: Mapping[str, NDArray[Any]],
        text: Callable[[str, int], str],
        read: Callable[[str], int],
        absent: int,
    ) -> NDArray[Any]:
        hashes = columns[name]
        out = np.full(hashes.shape[0], absent, np.int64 if absent else np.uint64)
        told = np.flatnonzero(hashes)
        if not told.shape[0]:
            return out
        values, first, inverse = np.unique(hashes[told], return_index=True, return_inverse=True)
        if len(self._known) > CACHED:
            self._known.clear()
        for value, row in zip(values.tolist(), told[first].tolist(), strict=True):
            if (name, value) not in self._known:
                self._known[name, value] = read(text(name, row))
        out[told] = np.array([self._known[name, value] for value in values.tolist()], out.dtype)[inverse]
        return out
