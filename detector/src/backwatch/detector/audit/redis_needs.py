"""Derives from a redacted Redis statement which commands, keys and channels it needs."""

import re
from dataclasses import dataclass, field
from typing import Final

from backwatch.collector.redaction import redis
from backwatch.collector.statements.spec import split_words

ANY: Final = "*"
"""The pattern where the collector recorded no prefix."""
_PREFIX: Final = re.compile(r"([A-Za-z][A-Za-z_.-]{0,23}[:/|])\?")
_WORD: Final = re.compile(r"[A-Z][A-Z0-9_.-]{0,40}")
_CHANNELS: Final = frozenset({"PUBLISH", "SUBSCRIBE", "PSUBSCRIBE", "SPUBLISH", "SSUBSCRIBE"})
_NO_KEYS: Final = split_words(
    """
    ASKING BGREWRITEAOF BGSAVE DBSIZE DISCARD ECHO EXEC FAILOVER FLUSHALL FLUSHDB INFO KEYS LASTSAVE LOLWUT MONITOR
    MULTI PING PSYNC QUIT RANDOMKEY READONLY READWRITE REPLCONF RESET ROLE SAVE SCAN SELECT SHUTDOWN SWAPDB SYNC TIME
    UNWATCH UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE WAIT WAITAOF AUTH HELLO
    """
)
_KEYED_CONTAINERS: Final = frozenset({"OBJECT", "XGROUP", "XINFO", "MEMORY"})
_CODE: Final = frozenset({"EVAL", "EVAL_RO", "EVALSHA", "EVALSHA_RO", "FCALL", "FCALL_RO"})
_ALWAYS_ALLOWED: Final = frozenset({"AUTH", "HELLO", "QUIT", "RESET"})
"""Commands that no ACL refuses."""


@dataclass(frozen=True, slots=True)
class RedisNeed:
    """One command with the patterns of its keys and channels.

    Attributes:
        command: In the form of an ACL: ``get``, ``config|get``.
        has_code: It runs a script, whose commands are not recorded.
    """

    command: str
    keys: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    has_code: bool = field(default=False)


def derive_needs(statement: str, operation: str) -> list[RedisNeed]:
    """Return what a statement needs; a pipeline has several commands.

    >>> [(need.command, sorted(need.keys)) for need in derive_needs("GET a:?; SET b:? ?", "MULTI")]
    [('multi', []), ('exec', []), ('get', ['a:*']), ('set', ['b:*'])]
    """
    needs = [RedisNeed("multi"), RedisNeed("exec")] if operation == "MULTI" else []
    for command in statement.split("; "):
        words = command.split(" ")
        if _WORD.fullmatch(words[0]) and words[0] not in _ALWAYS_ALLOWED and command not in ("MULTI", "EXEC"):
            needs.append(_derive(words))
    return needs


def _derive(words: list[str]) -> RedisNeed:
    name = words[0]
    if name in redis.SUBCOMMANDS and len(words) > 1 and _WORD.fullmatch(words[1]):
        keys = _patterns(words[2:3] if name in _KEYED_CONTAINERS and words[1] != "HELP" else [])
        return RedisNeed(f"{name}|{words[1]}".lower(), keys)
    if name in _CHANNELS:
        return RedisNeed(name.lower(), channels=_patterns(words[1:2] if name.endswith("PUBLISH") else words[1:]))
    if name in _CODE:
        return RedisNeed(name.lower(), frozenset({ANY}), has_code=True)
    return RedisNeed(name.lower(), _patterns(_keys(name, words[1:])))


def _keys(name: str, arguments: list[str]) -> list[str]:
    if name in _NO_KEYS:
        return []
    kind = redis.KINDS.get(name, "first")
    prefixed = [argument for argument in arguments if _PREFIX.fullmatch(argument)]
    if kind == "all":
        return arguments[:-1] if name in redis.BLOCKING and len(arguments) > 1 else arguments
    if kind == "first":
        second = arguments[1:2] if name in redis.TWO_KEYS else []
        return arguments[:1] + [key for key in second if _PREFIX.fullmatch(key)]
    return prefixed or ["?"]


def _patterns(keys: list[str]) -> frozenset[str]:
    found = (_PREFIX.fullmatch(key) for key in keys)
    return frozenset(f"{match[1]}*" if match else ANY for match in found)
