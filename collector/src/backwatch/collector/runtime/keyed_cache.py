"""What a cache remembers raw text by: a hash keyed by a secret of this process, never the text itself."""

import hashlib
import os
import secrets
import sys
from collections.abc import Callable
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

HASH_IS_KEYED: Final = bool(sys.flags.hash_randomization) and os.environ.get("PYTHONHASHSEED", "") in ("", "random")
"""Whether Python's own hash is keyed by a secret; ``PYTHONHASHSEED`` may have fixed it."""
_KEY: Final = secrets.token_bytes(32)

Raw = str | tuple[str | bytes | type, ...]
"""Of a tuple's texts the classes must be exactly these: a subclass may have a hash of its own."""


def _hashed(raw: Raw) -> bytes:
    text = raw if isinstance(raw, str) else repr(raw)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=_KEY, digest_size=32).digest()


keyed_hash: Final[Callable[[Raw], int | bytes]] = hash if HASH_IS_KEYED else _hashed
"""Python's own hash where it is keyed (SipHash), for it costs next to nothing: no two texts can be made to meet.

Text and bytes of the same letters have one mark; what must tell them apart adds their class.
"""


def remember(cache: dict[K, V], key: K, value: V, most: int) -> V:
    """Remembers it; a full cache is emptied, which is cheaper than keeping an order, and no thread finds half done."""
    if len(cache) >= most:
        cache.clear()
    cache[key] = value
    return value
