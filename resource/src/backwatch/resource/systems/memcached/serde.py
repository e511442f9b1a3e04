"""A serde around an app's own one: what a server marks as a pickle is not opened, and nothing unpacks without end."""

import zlib
from typing import Any, Final

from backwatch.resource.formats import check_value, refuse_format
from backwatch.resource.opening import Attachment
from backwatch.resource.replies import ReplyMeter

FLAG_PICKLE: Final = 1
FLAG_COMPRESSED: Final = 8
"""Flags of pymemcache's own serdes; the server chooses them with each reply."""


class CheckedSerde:
    """Serialises as the app's own serde does.

    Args:
        attachment: URL and policy.
        inner: The app's serde.
    """

    def __init__(self, attachment: Attachment, inner: Any) -> None:
        self._attachment = attachment
        self._inner = inner
        self._own_flags = is_of_library(inner)

    def serialize(self, key: Any, value: Any) -> Any:
        """Return bytes and flags. A value that would become a pickle is refused here, before it is stored."""
        stored, flags = self._inner.serialize(key, value)
        if self._own_flags and isinstance(flags, int) and flags & FLAG_PICKLE:
            self._refuse_pickle(f"a {type(value).__name__} would be stored as a pickle")
        return stored, flags

    def deserialize(self, key: Any, value: bytes, flags: int) -> Any:
        """Return a stored value."""
        check_value(self._attachment, value)
        if self._own_flags and flags & FLAG_PICKLE:
            self._refuse_pickle("the server marks a value as a pickle")
        if self._own_flags and flags & FLAG_COMPRESSED and self._attachment.policy.enforced:
            self._check_unpacked(value)
        return self._inner.deserialize(key, value, flags)

    def _refuse_pickle(self, seen: str) -> None:
        if "pickle" not in self._attachment.policy.texts("formats"):
            refuse_format(self._attachment, seen, "pickle")

    def _check_unpacked(self, value: bytes) -> None:
        """Count what a value unpacks to, in pieces; if it is not zlib's, the serde has a method of its own."""
        meter, unpacker, rest = ReplyMeter(self._attachment), zlib.decompressobj(), value
        try:
            while rest and not unpacker.eof:
                meter.add(len(unpacker.decompress(rest, 1 << 16)))
                rest = unpacker.unconsumed_tail
        except zlib.error:
            return


def is_of_library(serde: Any) -> bool:
    """Return whether a serde, or the functions of one, are pymemcache's own."""
    parts = (type(serde), getattr(serde, "deserialize", None), getattr(serde, "serialize", None))
    modules = {getattr(part, "__module__", "") for part in parts}
    functions = {getattr(getattr(part, "func", part), "__module__", "") for part in parts}
    return "pymemcache.serde" in modules | functions
