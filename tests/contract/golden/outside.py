"""Findings on outside data, which cannot be shipped: counts and hashes only.

The folder is that of ``BACKWATCH_TEST_DATA``: ``queries/app_*.jsonl.gz`` with ``to_otlp.py``, and ``otlp/*.jsonl.gz``.
Hashes are made per rule and piece of evidence, of present names
led back to the recorded ones, so that renames keep them.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.contract.golden.findings import alert_id
from tests.contract.golden.judging import Finding, build_engine, judge, read_requests
from tests.contract.golden.renames import Renames
from tests.contract.golden.streams import rename_attributes

Sums = dict[str, dict[str, Any]]
"""``counts`` of what was read, and by rule: how many findings and alerts, and hashes of all that they say."""
HASH_DIGITS = 24


def streams_of(data: Path) -> dict[str, tuple[Path, tuple[str, ...] | None]]:
    """Return the streams to judge: by name, a file and the flags of its conversion; ``None``: it is OTLP already."""
    found: dict[str, tuple[Path, tuple[str, ...] | None]] = {}
    for file in sorted((data / "queries").glob("app_*.jsonl.gz")):
        name = file.name.removesuffix(".jsonl.gz")
        found[f"{name}, with call sites"] = file, ("--call-sites",)
        found[f"{name}, without call sites"] = file, ()
    for file in sorted((data / "otlp").glob("*.jsonl.gz")):
        found[file.name.removesuffix(".otlp.jsonl.gz")] = file, None
    return found


def sums_of(data: Path, name: str, renames: Renames) -> Sums:
    """Judge one stream and return its counts and hashes under the recorded names."""
    file, flags = streams_of(data)[name]
    with tempfile.TemporaryDirectory() as folder:
        if flags is not None:
            spans = Path(folder) / "spans.jsonl"
            with spans.open("wb") as out:
                command = [sys.executable, str(data / "to_otlp.py"), *flags, str(file)]
                subprocess.run(command, stdout=out, check=True)
            file = spans
        counts: dict[str, int] = {}
        rules = sum_up(judge(build_engine(), _rename(read_requests([file]), renames), counts), renames.reverse())
        return {"counts": counts, "rules": rules}


def _rename(requests: Iterable[bytes], renames: Renames) -> Iterable[bytes]:
    if not renames.facts and not renames.values:
        return requests
    return (_rename_request(request, renames) for request in requests)


def _rename_request(value: bytes, renames: Renames) -> bytes:
    request = ExportTraceServiceRequest.FromString(value)
    rename_attributes(request, renames)
    return request.SerializeToString()


def sum_up(findings: Iterable[Finding], back: Renames) -> Sums:
    """Return counts and hashes of findings.

    Args:
        back: Maps present names back to the recorded ones.
    """
    groups: dict[str, list[Finding]] = {}
    for found in findings:
        groups.setdefault(back.rule(found.rule), []).append(found)
    return {rule: _sums(group, back) for rule, group in sorted(groups.items())}


def _sums(group: list[Finding], back: Renames) -> dict[str, Any]:
    names = sorted({name for found in group for name in found.evidence})
    return {
        "findings": len(group), "alerts": len({found.alert_id for found in group}),
        "ids_are_hashes": all(found.alert_id == alert_id(found.rule, found.key) for found in group),
        "level": _hash(found.level for found in group), "keys": _hash(found.key for found in group),
        "labels": _hash(f"{found.resource}\n{found.label}" for found in group),
        "calls": _hash(f"{found.app}\n{found.time_ns}\n{found.span}" for found in group),
        "evidence": {
            back.fact(name): _hash(_text(back.value(name, found.evidence.get(name))) for found in group)
            for name in names
        },
    }  # fmt: skip


def _text(value: Any) -> str:
    return json.dumps(value if not isinstance(value, float) else float(f"{value:.9g}"))


def _hash(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:HASH_DIGITS]


def differences(name: str, recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return how sums differ, one line each; empty: not at all."""
    lines: list[str] = []
    for key in sorted(recorded.keys() | found.keys()):
        was, is_ = recorded.get(key), found.get(key)
        if isinstance(was, dict) and isinstance(is_, dict):
            lines += differences(f"{name}: {key}", was, is_)  # pyright: ignore[reportUnknownArgumentType]
        elif was != is_:
            lines.append(f"{name}: {key} was {was}, is {is_}")
    return lines
