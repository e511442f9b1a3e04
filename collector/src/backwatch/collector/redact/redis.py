"""Redis: a command as its name and the kinds of its arguments. No value leaves, and of a key only its shape.

Commands that carry secrets (AUTH, HELLO, ACL, MIGRATE) keep their name and sub-command alone; CONFIG SET keeps the name of the
parameter, because that is what an attack on a server shows itself by.
"""

import re
from collections.abc import Sequence
from typing import Final

ARGUMENTS: Final = 8
"""Arguments that are told; what follows is one ``…``."""
LONGEST: Final = 256

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,31}")
_PART: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,23}")
_BARE: Final = frozenset({"AUTH", "HELLO", "MIGRATE", "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO", "ECHO", "PING"})
_WITH_SUBCOMMAND: Final = frozenset({
    "ACL", "CONFIG", "CLIENT", "CLUSTER", "COMMAND", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT", "PUBSUB", "SCRIPT",
    "SENTINEL", "SLOWLOG", "XGROUP", "XINFO",
})  # fmt: skip
_WITHOUT_KEY: Final = frozenset({
    "SELECT", "SWAPDB", "WAIT", "SCAN", "REPLICAOF", "SLAVEOF", "SHUTDOWN", "SAVE", "BGSAVE", "FLUSHALL", "FLUSHDB", "INFO",
    "MONITOR", "DBSIZE", "LASTSAVE", "RANDOMKEY", "RESET", "QUIT", "MULTI", "EXEC", "DISCARD", "UNWATCH", "FAILOVER", "PSYNC", "SYNC",
})  # fmt: skip
_ALL_KEYS: Final = frozenset({"MGET", "DEL", "UNLINK", "EXISTS", "TOUCH", "WATCH", "SINTER", "SUNION", "SDIFF", "PFCOUNT"})


def statement(command: Sequence[object]) -> str:
    """A command's canonical text.

    >>> statement(["SET", "session:4711", "secret"]), statement([b"GET", b"user:ada@mail.example:name"])
    ('SET session:? ?', 'GET user:?:name')
    >>> statement(["AUTH", "shop", "secret"]), statement(["CONFIG", "SET", "requirepass", "secret"])
    ('AUTH ?', 'CONFIG SET requirepass ?')
    """
    words = [_text(one) for one in command[: ARGUMENTS + 3]]
    if not words or not _NAME.fullmatch(words[0]):
        return "?"
    name = words[0].upper()
    rest = words[1:]
    if name in _BARE:
        return f"{name} ?" if rest else name
    told = [name]
    if name in _WITH_SUBCOMMAND and rest:
        subcommand = rest.pop(0)
        told.append(subcommand.upper() if _NAME.fullmatch(subcommand) else "?")
        if name == "CONFIG" and rest:
            parameter = rest.pop(0)
            told.append(parameter.lower() if _NAME.fullmatch(parameter) else "?")
        return _bounded(told, len(rest))
    if name in _WITHOUT_KEY or not rest:
        return _bounded(told, len(rest))
    if name in _ALL_KEYS:
        keys = list(dict.fromkeys(map(key, rest)))
        return " ".join([name, *keys[:ARGUMENTS]])[:LONGEST]
    told.append(key(rest.pop(0)))
    return _bounded(told, len(rest))


def key(text: str) -> str:
    """The shape of a key: its parts between colons where these are plain words, else ``?``; the last part only if others stand."""
    parts = text[:200].split(":")[:6]
    if len(parts) == 1:
        return parts[0] if _PART.fullmatch(parts[0]) and len(parts[0]) <= 16 else "?"
    return ":".join(part if _PART.fullmatch(part) else "?" for part in parts)


def _bounded(told: list[str], more: int) -> str:
    shown = [*told, *["?"] * min(more, ARGUMENTS)]
    return " ".join(shown if more <= ARGUMENTS else [*shown, "…"])[:LONGEST]


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value[:256]).decode("utf-8", "replace")
    return str(value)[:256] if isinstance(value, str | int | float) else "?"
