"""What a reply of Redis says: members, error codes, and where a cluster sends the client on to."""

import re
from typing import Final

from backwatch.collector import names
from backwatch.collector.payload.formats import Facts
from backwatch.collector.runtime.record import AttributeValue, Session

_CODE: Final = re.compile(r"[A-Z]{3,20}\Z")
_MOVED: Final = re.compile(r"(?:(?:MOVED|ASK) )?\d{1,5} (\S{0,255}:\d{1,5})\Z")


def joined(first: Facts, second: Facts) -> Facts:
    """Each fact once; what imports something goes before what does not."""
    if not first or not second:
        return first or second
    if names.PAYLOAD_GLOBALS in dict(second) and names.PAYLOAD_GLOBALS not in dict(first):
        first, second = second, first
    return tuple({**dict(second), **dict(first)}.items())


def rows(reply: object) -> int:
    """How many members a reply has; -1 where it is no collection."""
    if isinstance(reply, (list, tuple)):
        last = reply[-1] if len(reply) == 2 else None
        return len(last) if isinstance(last, (list, dict)) else len(reply)  # SCAN: a cursor, and what was found
    return len(reply) if isinstance(reply, (dict, set)) else -1


def answers(error: BaseException) -> bool:
    """Whether the server said so, in a reply of its own."""
    return any(base.__name__ == "ResponseError" for base in type(error).__mro__) or hasattr(error, "slot_id")


def error_facts(error: BaseException, session: Session) -> Facts:
    """The server's word for the error, and where MOVED and ASK send the client on to."""
    facts: list[tuple[str, AttributeValue]] = []
    text = str(error.args[0])[:300] if error.args else ""
    code = getattr(error, "status_code", None) or text.partition(" ")[0]
    if isinstance(code, str) and _CODE.match(code):
        facts.append((names.STATUS_CODE, code))
    found = _MOVED.match(text)
    if found:
        host, _, port = found[1].rpartition(":")
        host = host or session.address  # the same host, at another port
        target = f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
        facts.append((names.REDIRECT_TARGET, target if target.isprintable() else "?"))
    return tuple(facts)
