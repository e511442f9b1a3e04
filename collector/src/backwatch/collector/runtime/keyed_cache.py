"""Cache keys for raw text: a hash keyed by a secret of this process, never the text itself."""

import hashlib
import os
import secrets
import sys
from collections.abc import Callable
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

HASH_IS_KEYED: Final = bool(sys.flags.hash_randomization) and os.environ.get("PYTHONHASHSEED", "") in ("", "random")
"""True if Python's own hash is keyed by a secret; ``PYTHONHASHSEED`` may have fixed it."""
_KEY: Final = secrets.token_bytes(32)

Raw = str | tuple[str | bytes | type, ...]
"""Texts in a tuple must have exactly these classes: a subclass may define its own hash."""


def _hash_with_key(raw: Raw) -> bytes:
    text = raw if isinstance(raw, str) else repr(raw)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=_KEY, digest_size=32).digest()


keyed_hash: Final[Callable[[Raw], int | bytes]] = hash if HASH_IS_KEYED else _hash_with_key
"""Python's own hash where it is keyed (SipHash): it is nearly free, and an attacker cannot construct collisions.

Text and bytes of the same letters have the same hash; a caller that must distinguish them adds their class.
"""


def remember(cache: dict[K, V], key: K, value: V, most: int) -> V:
    """Remember it; a full cache is emptied, which is cheaper than keeping an order, and no thread finds half done."""
    if len(cache) >= most:
        cache.clear()
    cache[key] = value
    return value
