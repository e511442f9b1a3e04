"""memcached: the command with the shape of its keys, never a key and never a value.

Of a key only its prefix class is left (``session:?``), as of a Redis key; keys of the same class become one, so that a
``get`` of three keys and of thirty is one statement. A first word that is no command of memcached may be anything, so
it is not kept.
"""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

from backwatch.collector.redaction.redis import classify_key as plain_key_class

MAX_KEYS: Final = 1_000
"""Keys that are read; the rest has the same classes, or is shown as ``…``."""
MAX_CLASSES: Final = 24
MAX_LINE: Final = 4_096

_VALUED: Final = frozenset(("set", "add", "replace", "append", "prepend", "cas"))
_KEYED: Final = frozenset(("incr", "decr", "delete", "touch", "get", "gets", "mg", "ms", "md", "ma", "me"))
_TIMED: Final = frozenset(("gat", "gats"))
"""Commands whose first argument is a time, followed by the keys."""
_LISTS: Final = frozenset(("get", "gets"))
_PLAIN: Final = frozenset(("version", "quit", "flush_all", "verbosity", "shutdown", "cache_memlimit", "mn"))
_SUBCOMMANDS: Final = {
    name: frozenset(listed.split())
    for name, listed in {
        "stats": "items slabs sizes settings conns cachedump detail reset extstore proxy threads",
        "slabs": "reassign automove",
        "lru": "tune mode temp_ttl",
        "lru_crawler": "enable disable sleep tocrawl crawl metadump mgdump",
        "watch": "fetchers mutations evictions connevents deletions proxyreqs proxyevents",
        "extstore": "free_memory compact_under drop_under recache_rate max_frag",
        "config": "get set incr delete",
    }.items()
}
"""Commands with subcommands, which are reported if they are among these."""
_VERSIONED: Final = re.compile(r":\d{1,6}:")


def classify_key(key: object) -> str:
    """Return a key's prefix, if it reads like a word; otherwise ``?``. Django prefixes its keys with a version.

    >>> [classify_key(key) for key in (b"session:8f2c", ":1:session:8f2c", "8f2c", ":1:8f2c")]
    ['session:?', ':?:session:?', '?', ':?:?']
    """
    if isinstance(key, (bytes, bytearray)):
        key = bytes(key[:64]).decode("utf-8", "replace")
    if not isinstance(key, str):
        return "?"
    found = _VERSIONED.match(key, 0, 64)
    return f":?:{plain_key_class(key[found.end() : found.end() + 64])}" if found else plain_key_class(key)


def to_statement(command: str, keys: Iterable[object]) -> str:
    """Return the statement of a command of memcached on these keys.

    >>> to_statement("get", ["session:1", "session:2", "user:1"])
    'get session:? user:?'
    >>> to_statement("set", ["session:1"])
    'set session:? ?'
    """
    read = list(islice(keys, MAX_KEYS + 1))
    classes = sorted({classify_key(key) for key in read[:MAX_KEYS]})
    more = ["…"] if len(read) > MAX_KEYS or len(classes) > MAX_CLASSES else []
    return " ".join([command, *classes[:MAX_CLASSES], *more, *(["?"] if command in _VALUED else [])])


def redact_line(command: bytes, prefix: bytes = b"") -> tuple[str, str]:
    """Return operation and statement of a raw command: one line, or several.

    Args:
        prefix: The client's prefix of every key.

    >>> redact_line(b"delete app:session:8f2c noreply\\r\\n", b"app:")
    ('delete', 'delete session:?')
    >>> redact_line(b"stats cachedump 1 0\\r\\n"), redact_line(b"hunter2 x\\r\\n")
    (('stats cachedump', 'stats cachedump ?'), ('?', '?'))
    >>> redact_line(b"get a\\r\\nflush_all\\r\\n")
    ('get', 'get ?; …')
    """
    first, _, more = command[:MAX_LINE].partition(b"\r\n")
    words = first.decode("utf-8", "replace").split(" ")
    name, rest = words[0].lower(), [word for word in words[1:] if word]
    begun = prefix.decode("utf-8", "replace")
    # A storage command is followed by its value; other commands may be followed by another one.
    after = "; …" if more and name not in _VALUED and name != "ms" else ""
    if name in _VALUED or name in _KEYED or name in _TIMED:
        rest = rest[1:] if name in _TIMED else rest
        keys = rest if name in _LISTS or name in _TIMED else rest[:1]
        shown = to_statement(name, [word.removeprefix(begun) for word in keys])
    elif name in _PLAIN:
        shown = f"{name} ?" if rest else name
    elif name in _SUBCOMMANDS:
        words = [word.lower() for word in rest]
        known = bool(words) and words[0] in _SUBCOMMANDS[name]
        operation = f"{name} {words[0]}" if known else name
        left = words[1:] if known else words
        return operation, operation + (" ?" if left else "") + after
    else:
        return "?", "?"
    return name, shown + after
