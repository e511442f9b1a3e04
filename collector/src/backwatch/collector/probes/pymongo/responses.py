"""Replies of MongoDB: rows, writes, and errors that the driver raises only later."""

from collections.abc import Mapping
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.runtime.record import Facts

_WRITE_COUNTS: Final = ("nInserted", "nUpserted", "nModified", "nDeleted")


def rows_returned(reply: Mapping[str, Any]) -> int:
    """Return the number of documents or distinct values in a reply; -1 if it is not a collection."""
    cursor = reply.get("cursor")
    if isinstance(cursor, Mapping):
        batch = cursor.get("firstBatch")
        if batch is None:
            batch = cursor.get("nextBatch")
        if isinstance(batch, list):
            # A raw batch is bytes: the number of its documents is unknown.
            return len(batch) if not (batch and isinstance(batch[0], bytes)) else -1
        return -1
    values = reply.get("values")
    return len(values) if isinstance(values, list) else -1


def documents_in(reply: object) -> object:
    """Return the documents of a reply that is exactly a dict, as a list; ``None``: there are none."""
    cursor = reply.get("cursor") if reply.__class__ is dict else None  # pyright: ignore[reportAttributeAccessIssue]
    if cursor.__class__ is not dict:
        return None
    return cursor.get("firstBatch") or cursor.get("nextBatch")  # pyright: ignore[reportOptionalMemberAccess]


def written_documents(command: object) -> object:
    """Return the documents that a command stores, or its updates; ``None``: it stores none."""
    if not isinstance(command, dict):
        return None
    return dict.get(command, "documents") or dict.get(command, "updates")  # past any method of a subclass


def rows_affected(name: str, reply: Mapping[str, Any]) -> int:
    """Return the number of written documents; -1 if the command writes none."""
    if name == "update":
        upserted = reply.get("upserted")
        more = len(upserted) if isinstance(upserted, list) else 0
        return _count(reply.get("nModified", reply.get("n"))) + more
    if name in ("insert", "delete"):
        return _count(reply.get("n"))
    if name == "bulkWrite":
        return sum(max(_count(reply.get(key)), 0) for key in _WRITE_COUNTS)
    if name in ("findAndModify", "findandmodify"):
        last = reply.get("lastErrorObject")
        return _count(last.get("n")) if isinstance(last, Mapping) else -1
    return -1


def _count(value: object) -> int:
    return int(value) if isinstance(value, (int, float)) and 0 <= value < 1 << 62 else -1


def error_code(reply: Mapping[str, Any]) -> str:
    """Return the code of an error inside a reply; ``""`` if there is none."""
    errors = reply.get("writeErrors")
    first = errors[0] if isinstance(errors, list) and errors else reply.get("writeConcernError")
    if first is None and not reply.get("ok", 1):
        first = reply
    if not isinstance(first, Mapping):
        return ""
    code = first.get("code")
    return str(code)[:20] if isinstance(code, int) else "error"


def status_facts(error: BaseException | str | None) -> Facts:
    """Return the server's number for an error."""
    if isinstance(error, str):
        return ((names.STATUS_CODE, error),) if error.isdigit() else ()
    code = getattr(error, "code", None)
    return ((names.STATUS_CODE, str(code)[:20]),) if isinstance(code, int) else ()
