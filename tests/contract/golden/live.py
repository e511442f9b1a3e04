"""Golden outcomes of live runs: what ``backwatch attack run --json`` and ``attack quiet --json`` print, normalized.

Ports, certificates, times and folders differ from run to run and become placeholders. Evidence that differed between
the recorded runs is compared by kind only. Call sites are code of the pack itself, which moves between its files: they
become a placeholder, too, and alerts that differ in nothing else are one.

    backwatch attack run --all --json > runs.jsonl; python -m tests.contract.golden.live runs.jsonl
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backwatch.collector import names
from tests.contract.golden.findings import is_same
from tests.contract.golden.renames import Renames

RECORDED = Path(__file__).with_name("recorded") / "live.jsonl"
PACK_CODE = "code."
"""Facts about the scenarios' own code, which moves."""
COUNTED = "backwatch.bytes."
"""Bytes of a connection until a call ended: how many segments the kernel has counted by then varies between runs."""
KINDS = "kinds"
ABSENT = "absent"
Outcome = dict[str, Any]
"""``scenario`` and ``result``; of an attack ``expected`` and ``alerts``, of a part of the quiet hour lists of rules.

What is recorded has all results that were seen: some attacks succeed by the speed of the machine.
"""

_FUNCTION = r"(?<![\w/.-])[\w/.-]+\.py:[\w.<>]+"
CALL_SITE = re.compile(rf"{_FUNCTION}(?: \({_FUNCTION}(?: > {_FUNCTION})*\))?"), "<call site>"
_PORTS = ("server.port", "network.peer.port")
_PATTERNS = (
    (re.compile(r"/[^\s'\"]*backwatch-(?:attack|quiet)-[^/\s'\"]+"), "<folder>"),
    (re.compile(r"(?<=-)\d+(?=\.db\b)"), "<port>"),
    (re.compile(r"(?<=localhost:|127\.0\.0\.1:)\d{4,5}\b"), "<port>"),
    (re.compile(r"\b[0-9A-Fa-f]{64}\b"), "<sha256>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "<time>"),
    CALL_SITE,
)


def outcome_of(document: Mapping[str, Any], renames: Renames) -> Outcome:
    """Return the content of one printed line, without values of a single run.

    Args:
        renames: Of the keys of the document.
    """
    key = renames.documents
    if key.get("scene", "scene") in document:
        scene, driver = (document[key.get(name, name)] for name in ("scene", "driver"))
        lists = {name: sorted(document[key.get(name, name)]) for name in ("informational", "before")}
        return {"scenario": f"{scene}-{driver}", "result": document[key.get("outcome", "outcome")], **lists}
    entry, expected, outcome, alerts = (
        document[key.get(name, name)] for name in ("entry", "expected", "outcome", "alerts")
    )
    return {
        "scenario": entry, "expected": expected, "result": re.split(r"[: ]", outcome)[0],
        "alerts": _distinct(_alert(alert, renames) for alert in alerts),
    }  # fmt: skip


def _alert(alert: Mapping[str, Any], renames: Renames) -> dict[str, Any]:
    rule, level, label, evidence = (
        alert[renames.documents.get(name, name)] for name in ("rule", "level", "key", "evidence")
    )
    ports = {str(evidence[name]) for fact in _PORTS for name in (renames.fact(fact),) if name in evidence}
    return {
        "rule": rule, "level": level, "label": _normal(label, ports),
        "evidence": {
            name: _normal(value, ports) for name, value in sorted(evidence.items()) if name != names.CALL_PATH
        },
    }  # fmt: skip


def _normal(value: Any, ports: set[str]) -> Any:
    if isinstance(value, list):
        return [_normal(one, ports) for one in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, int) and str(value) in ports:
        return "<port>"
    if not isinstance(value, str):
        return value
    for pattern, placeholder in _PATTERNS:
        value = pattern.sub(placeholder, value)
    return re.sub(r"\b\d{2,5}\b", lambda found: "<port>" if found[0] in ports else found[0], value)


def merge(runs: Sequence[Outcome]) -> Outcome:
    """Return one recorded outcome of several runs: where they differ, evidence is kept by kind.

    Raises:
        ValueError: They differ in more than evidence.
    """
    first = runs[0]
    for run in runs[1:]:
        if _without_evidence(run) != _without_evidence(first):
            raise ValueError(
                f"{first['scenario']}: two runs differ: {_without_evidence(first)}, {_without_evidence(run)}"
            )
    alerts = [
        {**alert, "evidence": _merge_evidence([run["alerts"][number]["evidence"] for run in runs])}
        for number, alert in enumerate(first.get("alerts", []))
    ]
    results = {"result": sorted({run["result"] for run in runs})}
    return first | results | ({"alerts": alerts} if alerts else {})


def _without_evidence(outcome: Outcome) -> Outcome:
    return outcome | {"result": None, "alerts": [alert | {"evidence": None} for alert in outcome.get("alerts", [])]}


def _merge_evidence(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        name: _merge_value(name, [one.get(name, ...) for one in found]) for name in sorted(set[str]().union(*found))
    }


def _merge_value(name: str, values: Sequence[Any]) -> Any:
    if not name.startswith(PACK_CODE) and all(is_same(values[0], value) for value in values[1:]):
        return values[0]
    return {KINDS: sorted({_kind(value) for value in values})}


def _kind(value: Any) -> str:
    return ABSENT if value is ... else type(value).__name__


def differences(documents: Iterable[Mapping[str, Any]], recorded: Iterable[Outcome], renames: Renames) -> list[str]:
    """Return how printed outcomes differ from the recorded ones, one line each; empty: not at all."""
    expected = {one["scenario"]: one for one in (rename(outcome, renames) for outcome in recorded)}
    lines: list[str] = []
    for document in documents:
        actual = outcome_of(document, renames)
        scenario = actual["scenario"]
        if scenario not in expected:
            lines.append(f"{scenario}: not recorded")
            continue
        lines += [f"{scenario}: {line}" for line in _differences(expected[scenario], actual)]
    return lines


def rename(outcome: Outcome, renames: Renames) -> Outcome:
    """Return a recorded outcome as it must be found now."""
    changed = outcome | {"scenario": renames.scenarios.get(outcome["scenario"], outcome["scenario"])}
    for name in ("informational", "before"):
        if name in outcome:
            changed[name] = sorted(renames.rule(rule) for rule in outcome[name])
    if "expected" in outcome:
        changed["expected"] = renames.rule(outcome["expected"])
        changed["alerts"] = _distinct(_rename_alert(alert, renames) for alert in outcome["alerts"])
    return changed


def _rename_alert(alert: Mapping[str, Any], renames: Renames) -> dict[str, Any]:
    evidence = {renames.fact(name): renames.value(name, value) for name, value in alert["evidence"].items()}
    label = CALL_SITE[0].sub(CALL_SITE[1], alert["label"])
    return {**alert, "rule": renames.rule(alert["rule"]), "label": label, "evidence": evidence}


def _distinct(alerts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the alerts in the order of their identity, one of each: a query's before that of fetching its rows."""
    by_identity: dict[tuple[str, str], dict[str, Any]] = {}
    for alert in sorted(alerts, key=lambda alert: str(alert["evidence"].get("db.operation.name")) == "FETCH"):
        by_identity.setdefault(_identity(alert), alert)
    return [by_identity[identity] for identity in sorted(by_identity)]


def _identity(alert: Mapping[str, Any]) -> tuple[str, str]:
    return alert["rule"], alert["label"]


def _differences(expected: Outcome, actual: Outcome) -> list[str]:
    was, is_ = _without_evidence(expected), _without_evidence(actual)
    lines = [f"{name} was {was[name]}, is {is_.get(name)}" for name in was if was[name] != is_.get(name)]
    if actual["result"] not in expected["result"]:
        lines.append(f"result was {' or '.join(expected['result'])}, is {actual['result']}")
    if lines:
        return lines
    for old, new in zip(expected.get("alerts", []), actual.get("alerts", []), strict=True):
        for name in sorted(old["evidence"].keys() | new["evidence"].keys()):
            before, now = (side["evidence"].get(name, ...) for side in (old, new))
            if not _matches(before, now) and not (name.startswith(COUNTED) and _kind(before) == _kind(now)):
                lines.append(f"{old['rule']}: evidence {name} was {before!r:.120}, is {now!r:.120}")
    return lines


def _matches(recorded: Any, value: Any) -> bool:
    if isinstance(recorded, dict) and KINDS in recorded:
        return _kind(value) in recorded[KINDS]
    return is_same(recorded, value)


def read(path: Path = RECORDED) -> list[Outcome]:
    """Return the recorded outcomes."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    """Compare the outcomes that files of JSON lines hold, and exit with 1 where one differs."""
    documents = [json.loads(line) for file in sys.argv[1:] for line in Path(file).read_text().splitlines()]
    found = differences(documents, read(), Renames.load())
    print("\n".join(found))
    missing = len(read()) - len(documents)
    print(f"{len(documents)} outcomes compared, {len(found)} differences, {missing} recorded ones not in the files")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
