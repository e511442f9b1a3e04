"""Writes an audit as text for a terminal or as one JSON object. Every text of a server or a span is escaped."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from backwatch.detector.audit.model import MAX_PROOFS, Audit, Calls, Grant, Json, Power, ScriptLine, SeenCall
from backwatch.detector.audit.quoting import escape_line
from backwatch.detector.audit.seen import SeenCalls

MAX_LISTED: Final = 200
"""Unused grants that are printed; ``--json`` prints all."""


def to_json(audit: Audit, seen: SeenCalls, days: float) -> Json:
    """Return the audit as an object for ``--json``."""
    return {
        "system": audit.system, "server": escape_line(audit.server), "account": audit.account, "days": days,
        "seen": {
            "calls": seen.count, "different": len(seen.calls), "first_ns": seen.first_ns, "last_ns": seen.last_ns,
            "failed": seen.failed, "without_account": seen.without_account, "unreadable": seen.unreadable,
            "beyond_limit": seen.beyond, "others": dict(sorted(seen.others.items())),
        },
        "powers": [_power(power) for power in audit.powers],
        "unused": [_grant(grant) for grant in audit.unused],
        "script": [
            {"line": line.text, "proofs": [_proof(call, seen.calls) for call in line.proofs[:MAX_PROOFS]]}
            for line in audit.script
        ],
        "notes": audit.notes,
    }  # fmt: skip


def _power(power: Power) -> Json:
    return {"level": power.level, "name": power.name, "why": power.why, "source": power.source}


def _grant(grant: Grant) -> Json:
    return {"privilege": grant.privilege, "kind": grant.kind, "name": list(grant.name), "source": grant.source}


def _proof(call: SeenCall, seen: Calls) -> Json:
    found: dict[str, Any] = {"statement": call.statement, "app": call.app, "place": call.place, "signs": call.signs}
    counted = seen[call]
    return found | {"calls": counted.count, "first_ns": counted.first_ns, "last_ns": counted.last_ns}


def write(audit: Audit, seen: SeenCalls, days: float) -> Iterator[str]:
    """Yield the report's lines. Those outside the script begin with the script's mark of a comment."""
    mark = audit.comment
    yield f"{mark} {audit.system} {escape_line(audit.server)}: account {escape_line(audit.account)}"
    for line in _describe_seen(seen, days):
        yield f"{mark} {line}"
    yield mark
    yield f"{mark} Administrative powers: {len(audit.powers) or 'none'}"
    for power in audit.powers:
        source = "" if power.source == "itself" else f" (from {escape_line(power.source)})"
        yield f"{mark}   {power.level}: {escape_line(power.name)}{source}: {escape_line(power.why)}"
    yield f"{mark} Grants never used: {len(audit.unused) or 'none'}"
    for grant in audit.unused[:MAX_LISTED]:
        source = "" if grant.source == "itself" else f" (from {escape_line(grant.source)})"
        yield f"{mark}   {grant.shown}{source}"
    if len(audit.unused) > MAX_LISTED:
        yield f"{mark}   … {len(audit.unused) - MAX_LISTED} more; --json prints all"
    if audit.notes:
        yield f"{mark} Check by hand:"
    for note in audit.notes:
        yield f"{mark}   {escape_line(note)}"
    yield mark
    if not audit.script:
        yield f"{mark} No script: no successful call of this account was seen."
        return
    yield f"{mark} The least privilege that suffices for what was seen:"
    yield from _write_script(audit.script, mark, seen)


def _write_script(script: Sequence[ScriptLine], mark: str, seen: SeenCalls) -> Iterator[str]:
    for line in script:
        for call in line.proofs[:MAX_PROOFS]:
            yield f"{mark} {_describe_proof(call, seen)}"
        if len(line.proofs) > MAX_PROOFS:
            yield f"{mark} … and {len(line.proofs) - MAX_PROOFS} more statements"
        yield line.text


def _describe_proof(call: SeenCall, seen: SeenCalls) -> str:
    counted = seen.calls[call]
    place = f" in {call.place}" if call.place else ""
    signs = f" [injection signs: {call.signs}; is it the app's?]" if call.signs else ""
    text = call.statement or f"{call.operation} {call.destination}"
    shown = escape_line(f"{text[:160]}{'…' if len(text) > 160 else ''}{place}{signs}")
    return f"{shown}: {counted.count} call{'s' * (counted.count != 1)}, last {_date(counted.last_ns)}"


def _describe_seen(seen: SeenCalls, days: float) -> Iterator[str]:
    if not seen.calls:
        yield f"Seen within {days:g} days: no successful call of this account"
    else:
        yield (
            f"Seen within {days:g} days: {seen.count} calls, {len(seen.calls)} different, "
            f"from {_date(seen.first_ns)} to {_date(seen.last_ns)}"
        )
        covered = (seen.last_ns - seen.first_ns) / 86_400e9
        if covered < 0.9 * days:
            yield f"These calls cover {covered:.1f} days only: what the app does less often is missing"
    if seen.failed:
        yield f"{seen.failed} failed calls prove nothing and were left out"
    if seen.without_account:
        yield f"{seen.without_account} calls report no account and were taken for this account's"
    if seen.unreadable or seen.beyond:
        yield f"Not used: {seen.unreadable} unreadable pieces, {seen.beyond} calls beyond the limit"
    for other, count in sorted(seen.others.items())[:5]:
        yield f"Left out: {count} calls of {escape_line(other)}"


def _date(at_ns: int) -> str:
    return datetime.fromtimestamp(min(at_ns, 2**62) // 1_000_000_000, UTC).date().isoformat()
