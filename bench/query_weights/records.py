"""Labelled records: statement streams of applications, single statements, and fragments of injections."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.statements.canonical import canonicalize
from backwatch.collector.statements.dialects import dialect_of
from backwatch.collector.statements.families import derive_family
from backwatch.collector.statements.scan import scan
from backwatch.detector.statements.structure.encoding import tokens_of
from backwatch.detector.statements.structure.roles import find_roles

Record = dict[str, Any]
Statement = tuple[NDArray[np.uint16], NDArray[np.uint32], NDArray[np.uint8], int]
_SYSTEMS = {"postgres": "postgresql", "mssql": "microsoft.sql_server"}
NOT_FITTED = frozenset(("request-input", "cut", "operator-for-value"))
"""Signs that no text of SQL shows alone."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a detector reads from one statement.

    Attributes:
        canonical: Its canonical text.
        family: Verb and tables.
        statement: Codes, ids, roles and number of its tokens.
        signs: Bits of its injection signs.
    """

    canonical: str
    family: str
    statement: Statement
    signs: int


def load(path: Path) -> list[Record]:
    """Return the records of a file of JSON lines, compressed or not."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


@lru_cache(maxsize=200_000)
def read(text: str, dialect: str) -> Reading:
    """Read one statement."""
    spoken = dialect_of(_SYSTEMS.get(dialect, dialect))
    canonical = canonicalize(text, spoken)
    codes, ids = tokens_of(canonical)
    roles = np.zeros(codes.shape[0] + 1, np.uint8)
    find_roles(codes, codes.shape[0], roles)
    found = frozenset(scan(text, spoken).signs) - NOT_FITTED
    signs = sum(1 << at for at, sign in enumerate(names.SIGNS) if sign in found)
    return Reading(canonical, derive_family(canonical), (codes, ids, roles, codes.shape[0]), signs)


def text_of(record: Record, *, sanitised: bool) -> str:
    """Return a record's text, in full or as another instrumentation sanitised it."""
    return str((record.get("text_sanitised") if sanitised else None) or record["text"])


def select_training(records: Sequence[Record]) -> list[Record]:
    """Return the honest records from which an application is learned."""
    return [record for record in records if record.get("phase") == "train"]
