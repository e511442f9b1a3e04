"""Statements and sizes of memcached commands."""

from collections.abc import Mapping
from typing import Any, Final

from backwatch.collector.probes.toolkit.messages import size_of
from backwatch.collector.redaction import memcached as redact
from backwatch.collector.runtime.keyed_cache import keyed_hash, remember

MAX_CACHED_KEY_CHARACTERS: Final = 64
MAX_CACHED_STATEMENTS: Final = 2_048
_LINE_BYTES: Final = 24
"""Bytes of a command's line beside its key and value, about."""

_cached: dict[int | bytes, str] = {}


def describe_command(name: str, keys: Any) -> str:
    """Return the statement of a command on one key or many; cached for a single short key."""
    if not isinstance(keys, (list, tuple, dict, set, frozenset)):
        return redact.to_statement(name, ("",))  # an iterator of the app's, which must not be consumed
    if len(keys) != 1:
        return redact.to_statement(name, keys)
    key = next(iter(keys))
    kind = type(key)
    if (kind is not str and kind is not bytes) or len(key) > MAX_CACHED_KEY_CHARACTERS:
        return redact.to_statement(name, (key,))
    marked = keyed_hash((name, kind, key))
    statement = _cached.get(marked)
    if statement is None:
        statement = remember(_cached, marked, redact.to_statement(name, (key,)), MAX_CACHED_STATEMENTS)
    return statement


def estimate_stored_bytes(values: Mapping[Any, Any]) -> int:
    """Estimate the bytes that storing these values sends; -1 if a serializer has to convert one first."""
    total = 0
    for key, value in values.items():
        if not isinstance(value, (str, bytes, int)):
            return -1
        total += _LINE_BYTES + size_of(key) + (len(str(value)) if isinstance(value, int) else size_of(value))
    return total
