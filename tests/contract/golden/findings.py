"""Golden findings: every firing of every alert with all its evidence, and how two sets of them differ.

Evidence is kept by column, each distinct value once, so that thousands of firings are small and any name can be
renamed.
"""

import gzip
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.contract.golden.judging import Finding
from tests.contract.golden.renames import Renames

Alert = dict[str, Any]
"""One alert of one app: ``app``, ``rule``, ``level``, ``key``, ``label``, ``resource``, ``alert_id``, ``times_ns``,
``spans`` and ``evidence``."""
RELATIVE_TOLERANCE = 1e-9
"""Of numbers that are no integers: compilers may order additions differently."""


def alert_id(rule: str, key: str) -> str:
    """Return the id of the alert of a rule and a key. Written out here, since the product's own must not change."""
    return hashlib.sha256(f"{rule}\x1e{key}".encode()).hexdigest()


def to_alerts(findings: Iterable[Finding]) -> list[Alert]:
    """Group the findings of one stream by alert, in the order of rules and keys."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for found in findings:
        groups.setdefault((found.app, found.rule, found.key), []).append(found)
    return [_alert(group) for _, group in sorted(groups.items())]


def _alert(group: list[Finding]) -> Alert:
    first = group[0]
    names = sorted({name for found in group for name in found.evidence})
    return {
        "app": first.app, "rule": first.rule, "level": first.level, "key": first.key, "label": first.label,
        "resource": first.resource, "alert_id": first.alert_id, "times_ns": [found.time_ns for found in group],
        "spans": [found.span for found in group],
        "evidence": {name: _column([_plain(found.evidence.get(name)) for found in group]) for name in names},
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _column(values: list[Any]) -> dict[str, Any]:
    distinct: dict[str, int] = {}
    at = [distinct.setdefault(json.dumps(value), len(distinct)) for value in values]
    column: dict[str, Any] = {"values": [json.loads(text) for text in distinct]}
    return column if len(distinct) == 1 else column | {"at": at}


def write(path: Path, alerts: Iterable[Alert]) -> None:
    """Write alerts as compressed JSON lines; the same alerts give the same bytes."""
    text = "".join(json.dumps(alert, separators=(",", ":")) + "\n" for alert in alerts)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def read(path: Path) -> list[Alert]:
    """Return the alerts of a file."""
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def rename(alert: Alert, renames: Renames) -> Alert:
    """Return a recorded alert as it must be found now."""
    rule = renames.rule(alert["rule"])
    same_id = alert["alert_id"] if rule == alert["rule"] else alert_id(rule, alert["key"])
    evidence = {
        renames.fact(name): column | {"values": [renames.value(name, value) for value in column["values"]]}
        for name, column in alert["evidence"].items()
    }
    return alert | {"rule": rule, "alert_id": same_id, "evidence": evidence}


def differences(recorded: Iterable[Alert], found: Iterable[Alert], renames: Renames) -> list[str]:
    """Return how findings differ from the recorded ones, one line each; empty: not at all."""
    expected = {_identity(alert): alert for alert in (rename(one, renames) for one in recorded)}
    actual = {_identity(alert): alert for alert in found}
    lines = [f"{_text(expected[one])}: recorded, and not found now" for one in sorted(expected.keys() - actual.keys())]
    lines += [f"{_text(actual[one])}: found now, and not recorded" for one in sorted(actual.keys() - expected.keys())]
    for one in sorted(expected.keys() & actual.keys()):
        lines += [f"{_text(expected[one])}: {line}" for line in _alert_differences(expected[one], actual[one])]
    return lines


def _identity(alert: Alert) -> tuple[str, str, str]:
    return alert["app"], alert["rule"], alert["key"]


def _text(alert: Alert) -> str:
    return f"{alert['app']}: {alert['rule']} of {alert['key']!r}"


def _alert_differences(expected: Alert, actual: Alert) -> list[str]:
    count, now = len(expected["times_ns"]), len(actual["times_ns"])
    if count != now:
        return [f"fired {count} times when recorded, {now} times now"]
    plain = ("level", "label", "resource", "alert_id", "times_ns", "spans")
    lines = [
        f"{name} was {_short(expected[name])}, is {_short(actual[name])}"
        for name in plain
        if expected[name] != actual[name]
    ]
    was, is_ = expected["evidence"], actual["evidence"]
    lines += [f"evidence {name} is no longer there" for name in sorted(was.keys() - is_.keys())]
    lines += [f"evidence {name} is new" for name in sorted(is_.keys() - was.keys())]
    for name in sorted(was.keys() & is_.keys()):
        pairs = zip(_values(was[name], count), _values(is_[name], count), strict=True)
        different = [(number, old, new) for number, (old, new) in enumerate(pairs) if not is_same(old, new)]
        if different:
            number, old, new = different[0]
            lines.append(
                f"evidence {name} differs in {len(different)} of {count} firings;"
                f" firing {number} had {_short(old)}, has {_short(new)}"
            )
    return lines


def _values(column: Mapping[str, Any], count: int) -> list[Any]:
    return [column["values"][at] for at in column.get("at", [0] * count)]


def is_same(old: Any, new: Any) -> bool:
    """Return whether two values of evidence are the same: exactly, but for the last digits of floats."""
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=RELATIVE_TOLERANCE)
    return type(old) is type(new) and old == new


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:120]}…"
