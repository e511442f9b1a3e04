"""Redis commands as statements: one command, or the distinct commands of a pipeline."""

from collections.abc import Sequence
from typing import Final

from backwatch.collector.redaction import redis as redact
from backwatch.collector.runtime.keyed_cache import keyed_hash, remember

Commands = tuple[Sequence[object], ...]

MAX_LOOKED_AT: Final = 10_000
MAX_DISTINCT: Final = 24
MAX_CHARACTERS: Final = 4_096
MAX_REMEMBERED: Final = 2_048
SUBSCRIPTIONS: Final = frozenset(
    ("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE")
)
_CONTAINERS: Final = frozenset((
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT",
    "PUBSUB", "SCRIPT", "SENTINEL", "SLOWLOG", "XGROUP", "XINFO",
))  # fmt: skip
"""Commands whose second word is part of the name."""

_known: dict[int | bytes, tuple[str, str]] = {}


def name_of(command: Sequence[object]) -> str:
    """The first word, upper-cased and bounded; ``""`` for an empty command."""
    if not command:
        return ""
    word = command[0]
    if word.__class__ is str and len(word) < 60:  # pyright: ignore[reportArgumentType]  a str, as just seen
        return word.upper()  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(word, (bytes, bytearray)):
        word = word[:60].decode("ascii", "replace")
    return str(word)[:60].upper()


def operation(name: str, command: Sequence[object]) -> str:
    """``GET``, ``CONFIG SET``."""
    if name in _CONTAINERS and len(command) > 1:
        name = f"{name} {name_of(command[1:2])}"
    return name if redact.is_command_name(name) else "?"


def single(name: str, command: Sequence[object]) -> tuple[str, str]:
    """Operation and statement of one command, whose name is known. Those with just a key are remembered."""
    if len(command) == 2:
        key = command[1]
        if type(key) is str:
            marked = keyed_hash((name, key))
            known = _known.get(marked)
            if known is None:
                told = (operation(name, command), redact.to_statement(command))
                known = remember(_known, marked, told, MAX_REMEMBERED)
            return known
    return operation(name, command), redact.to_statement(command)


def pipeline(commands: Commands) -> tuple[str, str]:
    """Operation and statement of commands that were written together.

    The statement is the set of what they are, in alphabetical order: it does not depend on how many there are of each.
    """
    kinds: dict[tuple[str, int], Sequence[object]] = {}
    for command in commands[:MAX_LOOKED_AT]:
        kinds.setdefault((operation(name_of(command), command), len(command)), command)
    operations = {name for name, _ in kinds}
    transaction = "MULTI" in operations
    statements = sorted(
        {redact.to_statement(command) for (name, _), command in kinds.items() if name not in ("MULTI", "EXEC")}
    )
    # What is rare is what an attacker adds: where there are too many kinds, say so rather than pick.
    shown = statements[:MAX_DISTINCT] + (["…"] if len(statements) > MAX_DISTINCT else [])
    return ("MULTI" if transaction else "PIPELINE"), "; ".join(shown)[:MAX_CHARACTERS]
