"""Statements of Redis commands: one command, or the distinct commands of a pipeline."""

from collections.abc import Sequence
from typing import Final

from backwatch.collector.redaction import redis as redact
from backwatch.collector.runtime.keyed_cache import keyed_hash, remember

Commands = tuple[Sequence[object], ...]

MAX_INSPECTED_COMMANDS: Final = 10_000
MAX_DISTINCT_STATEMENTS: Final = 24
MAX_STATEMENT_CHARACTERS: Final = 4_096
MAX_CACHED_STATEMENTS: Final = 2_048
SUBSCRIPTIONS: Final = frozenset(
    ("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE")
)
_CONTAINERS: Final = frozenset((
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT",
    "PUBSUB", "SCRIPT", "SENTINEL", "SLOWLOG", "XGROUP", "XINFO",
))  # fmt: skip
"""Commands whose second word is part of the name."""

WRITING_COMMANDS: Final = {
    **dict.fromkeys(("SET", "SETNX", "GETSET", "APPEND"), (2, 3, 1)),
    **dict.fromkeys(("SETEX", "PSETEX", "HSETNX", "LSET", "SETRANGE"), (3, 4, 1)),
    **dict.fromkeys(("LPUSH", "RPUSH", "LPUSHX", "RPUSHX", "SADD", "PUBLISH", "SPUBLISH"), (2, 100, 1)),
    **dict.fromkeys(("HSET", "HMSET"), (3, 100, 2)),
    **dict.fromkeys(("MSET", "MSETNX"), (2, 100, 2)),
    "XADD": (4, 100, 2),
}
"""Commands that write values, and where these stand among the words: from, to, step."""
_MAX_WRITES: Final = 16
"""Writes of a pipeline whose values are inspected."""

_cached: dict[int | bytes, tuple[str, str]] = {}


def name_of(command: Sequence[object]) -> str:
    """Return the first word, upper-cased and bounded; ``""`` for an empty command."""
    if not command:
        return ""
    word = command[0]
    if word.__class__ is str and len(word) < 60:  # pyright: ignore[reportArgumentType]  a str, as just seen
        return word.upper()  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(word, (bytes, bytearray)):
        word = word[:60].decode("ascii", "replace")
    return str(word)[:60].upper()


def operation_of(name: str, command: Sequence[object]) -> str:
    """Return the operation: ``GET``, ``CONFIG SET``; ``?`` if it is not a command name."""
    if name in _CONTAINERS and len(command) > 1:
        name = f"{name} {name_of(command[1:2])}"
    return name if redact.is_command_name(name) else "?"


def describe_command(name: str, command: Sequence[object]) -> tuple[str, str]:
    """Return operation and statement of one command; cached for commands with just a key."""
    if len(command) == 2:
        key = command[1]
        if type(key) is str:
            marked = keyed_hash((name, key))
            described = _cached.get(marked)
            if described is None:
                described = (operation_of(name, command), redact.to_statement(command))
                remember(_cached, marked, described, MAX_CACHED_STATEMENTS)
            return described
    return operation_of(name, command), redact.to_statement(command)


def describe_pipeline(commands: Commands) -> tuple[str, str]:
    """Return operation and statement of commands that were written together.

    The statement is the sorted set of distinct commands: it does not depend on how many there are of each.
    """
    kinds: dict[tuple[str, int], Sequence[object]] = {}
    for command in commands[:MAX_INSPECTED_COMMANDS]:
        kinds.setdefault((operation_of(name_of(command), command), len(command)), command)
    operations = {name for name, _ in kinds}
    transaction = "MULTI" in operations
    statements = sorted(
        {redact.to_statement(command) for (name, _), command in kinds.items() if name not in ("MULTI", "EXEC")}
    )
    # What is rare is what an attacker adds: where there are too many kinds, say so rather than pick.
    shown = statements[:MAX_DISTINCT_STATEMENTS] + (["…"] if len(statements) > MAX_DISTINCT_STATEMENTS else [])
    return ("MULTI" if transaction else "PIPELINE"), "; ".join(shown)[:MAX_STATEMENT_CHARACTERS]


def written_values(commands: Commands) -> list[object]:
    """Return values that the commands write; empty: they write none.

    >>> written_values([("SET", "basket:1", b"[]", "EX", 60)]), written_values([("GET", "basket:1")])
    ([b'[]'], [])
    """
    if len(commands) == 1:
        place = WRITING_COMMANDS.get(name_of(commands[0]))
        return list(commands[0][place[0] : place[1] : place[2]]) if place else []
    found: list[object] = []
    for command in commands[:_MAX_WRITES]:
        if name_of(command) not in ("MULTI", "EXEC"):
            place = WRITING_COMMANDS.get(name_of(command))
            found += command[place[0] : place[1] : place[2]] if place else ()
    return found
