"""Labelled records as the test data has them, and a file of them."""

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.campaigns import lexer
from bench.campaigns.databases import Answer
from bench.campaigns.dialect import Dialect

APP = "library"
Record = dict[str, Any]


def record(dialect: Dialect, tid: str, text: str, answer: Answer, **facts: Any) -> Record:
    """Return a record; ``facts`` hold its label, kind, phase, input and the like."""
    found: Record = {
        "text": text,
        "text_sanitised": lexer.sanitise(text, dialect.name),
        "dialect": dialect.name,
        "app": APP,
        "tid": f"{APP}-{tid}",
        "rows": len(answer.rows),
        "affected": answer.affected,
        "ms": answer.ms,
        "error": bool(answer.error),
    }
    if answer.error:
        found |= {"error_type": answer.error, "error_code": answer.code, "error_text": answer.message}
    return found | facts


def write(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write records, numbered in their order; return how many."""
    count = 0
    with gzip.open(path, "wt", encoding="utf-8") as out:
        for found in records:
            identity = f"{path.name.partition('.')[0]}-{count:06}"
            out.write(json.dumps({**found, "seq": count, "id": identity}, ensure_ascii=False) + "\n")
            count += 1
    return count
