"""Replies of Redis: members, error codes, and redirects of a cluster."""

import re
from typing import Final

from backwatch.collector import names
from backwatch.collector.runtime.record import AttributeValue, Facts, Session

_CODE: Final = re.compile(r"[A-Z]{3,20}\Z")
_MOVED: Final = re.compile(r"(?:(?:MOVED|ASK) )?\d{1,5} (\S{0,255}:\d{1,5})\Z")


def merge_facts(first: Facts, second: Facts) -> Facts:
    """Return each fact once; of two payloads, the one that imports something takes precedence."""
    if not first or not second:
        return first or second
    if names.PAYLOAD_GLOBALS in dict(second) and names.PAYLOAD_GLOBALS not in dict(first):
        first, second = second, first
    return tuple({**dict(second), **dict(first)}.items())


def count_members(reply: object) -> int:
    """Return the number of members of a reply; -1 if it is not a collection."""
    if isinstance(reply, (list, tuple)):
        last = reply[-1] if len(reply) == 2 else None
        return len(last) if isinstance(last, (list, dict)) else len(reply)  # SCAN: a cursor, and the keys found
    return len(reply) if isinstance(reply, (dict, set)) else -1


def is_error_reply(error: BaseException) -> bool:
    """Return whether the server sent the error in a reply."""
    return any(base.__name__ == "ResponseError" for base in type(error).__mro__) or hasattr(error, "slot_id")


def error_facts(error: BaseException, session: Session) -> Facts:
    """Return the server's error code, and the target of MOVED and ASK."""
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
