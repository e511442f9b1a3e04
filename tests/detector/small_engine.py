"""Detectors and rules over calls given as facts, without decoding, shards or time."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts import WINDOW
from backwatch.collector.statements.canonical import canonicalize
from backwatch.detector import detectors
from backwatch.detector.columns.prepared import dialect_of
from backwatch.detector.derived.numbers import NOT_BEFORE, NumberColumns, certificate_days
from backwatch.detector.derived.payload_kinds import PayloadColumns
from backwatch.detector.derived.text_columns import NOT_AFTER, TextColumns
from backwatch.detector.detectors import Calls, ClosedWindows, discover
from backwatch.detector.engine.ordering import in_order
from backwatch.detector.rules import rulebook
from backwatch.detector.rules.compiled_rules import RuleSet, matches
from backwatch.detector.rules.fields import CALL_FIELDS, DOMAINS, Vocabulary
from backwatch.detector.rules.sigma import parse_rule
from backwatch.detector.state.keys import FIRST, KNOWN, SECOND, SITE_REPORTED, SPACES
from backwatch.detector.statements.call_statement import DOCUMENT_SHAPE
from backwatch.detector.statements.structure.batch import Tokens
from backwatch.detector.statements.structure.encoding import TABLES, TOKEN_CELLS, encode
from backwatch.detector.statements.structure.roles import find_roles
from backwatch.detector.statements.structure.vocabulary import DOCUMENT

Facts = Mapping[str, Any]
WINDOW_SUMS = [fact.name for fact in WINDOW]
SHIPPED = Path(rulebook.__file__).parent / "shipped"
DETECTORS = Path(detectors.__file__).parent
START_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
SLOTS = 512
TEXTS = [
    names.CERT_NOT_BEFORE,
    names.CERT_NOT_AFTER,
    *(name for name, one in CALL_FIELDS.items() if one.kind in ("text", "words")),
]


def _rules() -> RuleSet:
    """Return the shipped rules, read without their engine."""
    vocabulary = Vocabulary.of(discover())
    paths = sorted((*SHIPPED.rglob("*.yml"), *DETECTORS.glob("*.yml")))
    found = [(path.name, path.read_text()) for path in paths]
    return RuleSet([parse_rule(text, source, vocabulary) for source, text in found], vocabulary)


RULES = _rules()
_bits: dict[tuple[Any, ...], NDArray[np.uint64]] = {}


def _entry_bits(domain: str, facts: Facts) -> NDArray[np.uint64]:
    selected = {
        name: value for name, value in facts.items() if name in CALL_FIELDS and CALL_FIELDS[name].domain == domain
    }
    known = domain, *sorted(selected.items())
    if known not in _bits:
        _bits[known] = RULES.evaluate_entry(domain, selected)
    return _bits[known]


def _drop_superseded(fired: set[str]) -> set[str]:
    """Return the rules without the superseded ones and those that only escalate."""
    rule = np.array([i for i, one in enumerate(RULES.rules) if one.name in fired and not one.escalates], np.int32)
    silenced = RULES.find_superseded(np.zeros_like(rule), rule)
    return {RULES.rules[i].name for i in rule[~silenced].tolist()}


def hash_text(text: bytes) -> int:
    """Return a text as a column holds it."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") | 1


def _tokens(calls: Sequence[Facts], rows: NDArray[np.int64]) -> Tokens:
    """Return the tokens of these calls' statements, each as a statement of its own."""
    dialects = [dialect_of(str(calls[row].get(names.DB_SYSTEM, ""))) for row in rows.tolist()]
    texts = [
        (
            str(calls[row].get(names.STATEMENT, ""))
            if dialect == DOCUMENT_SHAPE
            else canonicalize(str(calls[row].get(names.QUERY_TEXT, "")), "postgresql")
        ).encode()
        for row, dialect in zip(rows.tolist(), dialects, strict=True)
    ]
    buffer = np.frombuffer(b"".join(texts) + b" ", np.uint8)
    shape = (len(texts), TOKEN_CELLS)
    codes, ids, roles = np.zeros(shape, np.uint16), np.zeros(shape, np.uint32), np.zeros(shape, np.uint8)
    count, start = np.zeros(len(texts), np.int32), 0
    for at, text in enumerate(texts):
        count[at] = encode(buffer, start, start + len(text), TABLES, codes[at], ids[at])
        if dialects[at] == DOCUMENT_SHAPE and count[at]:
            codes[at, 0] = ids[at, 0] = DOCUMENT
        else:
            find_roles(codes[at], count[at], roles[at])
        start += len(text)
    of_call = np.full(len(calls), -1, np.int32)
    known = [dialect >= 0 or dialect == DOCUMENT_SHAPE for dialect in dialects]
    of_call[rows[known]] = np.flatnonzero(known)
    return Tokens(of_call, codes, ids, roles, count)


def call(at_s: float, statement: str = "SELECT ?", site: str = "views.py:show", **facts: Any) -> dict[str, Any]:
    """Return a quiet call at a time. Further facts use ``__`` for a dot."""
    more_facts = {name.replace("__", "."): value for name, value in facts.items()}
    return {
        "time_ns": START_NS + int(at_s * SECOND_NS), "site": site, names.QUERY_TEXT: statement,
        names.DB_SYSTEM: "postgresql", names.SERVER_ADDRESS: "db.example", **more_facts,
    }  # fmt: skip


@dataclass
class SmallEngine:
    """Detectors and rules with their state. Calls come in one or many at a time."""

    slots: dict[str, dict[str, int]] = field(default_factory=lambda: {space.name: {} for space in SPACES})
    sightings: dict[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        self.detectors = in_order([kind() for kind in discover()])
        self.tables = {table.name: np.zeros(SLOTS, table.dtype) for one in self.detectors for table in one.tables}

    def step(self, calls: Sequence[Facts]) -> list[set[str]]:
        """Return the rules that each call raises."""
        columns, slot = self._columns(calls)
        fired, suspect = self._evaluate(calls, columns, 1)
        learn = ~(suspect | columns["error"])
        for one in self.detectors:
            if one.provides:
                made = Calls(count=len(calls), columns=columns, tokens_of=lambda rows: _tokens(calls, rows))
                columns |= one.facts(made, slot, self.tables, learn)
        more, _ = self._evaluate(calls, columns, 3)
        return [_drop_superseded(first | second) for first, second in zip(fired, more, strict=True)]

    def window(
        self, minute: int, models: Mapping[str, Any] | None = None, **sums: int
    ) -> tuple[set[str], dict[str, float]]:
        """Return the rules that one resource's minute fires, and the detectors' facts about it."""
        closed = ClosedWindows(
            slot=np.ones(1, np.int32), end_ns=np.array([START_NS + minute * 60 * SECOND_NS]),
            columns={name: np.array([sums.get(name, 0)], np.int64) for name in WINDOW_SUMS}, models=models or {},
        )  # fmt: skip
        facts: dict[str, float] = {name: float(closed[name][0]) for name in WINDOW_SUMS}
        for one in self.detectors:
            if one.window_provides:
                facts |= {name: float(values[0]) for name, values in one.window(closed, self.tables).items()}
        return {rule.name for rule in RULES.rules if rule.over == "window" and matches(rule, facts)}, facts

    def _evaluate(
        self, calls: Sequence[Facts], columns: Mapping[str, NDArray[Any]], stage: Any
    ) -> tuple[list[set[str]], NDArray[np.bool_]]:
        bits = {domain: np.stack([_entry_bits(domain, one) for one in calls]) for domain in DOMAINS}
        entry: dict[str, NDArray[np.int32]] = {one: np.arange(len(calls), dtype=np.int32) for one in DOMAINS}
        rows, rules = RULES.evaluate(bits, entry, columns, stage)
        fired: list[set[str]] = [set() for _ in calls]
        suspect = np.zeros(len(calls), np.bool_)
        for row, rule in zip(rows.tolist(), rules.tolist(), strict=True):
            fired[row].add(RULES.rules[rule].name)
            suspect[row] |= RULES.rules[rule].suspect
        return fired, suspect

    def _columns(self, calls: Sequence[Facts]) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.int32]]]:
        def text(name: str, row: int) -> str:
            return str(calls[row].get(name, ""))

        rows = range(len(calls))
        columns: dict[str, NDArray[Any]] = {
            name: np.array([hash_text(text(name, i).encode()) if text(name, i) else 0 for i in rows], np.uint64)
            for name in TEXTS
        }
        for name, one in CALL_FIELDS.items():
            if one.kind in ("number", "flag"):
                dtype = np.int64 if one.kind == "number" else np.int8
                columns[name] = np.array([calls[i].get(name, -1) for i in rows], dtype)
        for kind in (TextColumns, NumberColumns, PayloadColumns):
            columns |= kind(hash_text).columns(columns, text)
        columns["time_ns"] = np.array([one["time_ns"] for one in calls], np.int64)
        columns |= certificate_days(columns["time_ns"], columns[NOT_BEFORE], columns[NOT_AFTER])
        columns["error"] = np.array([names.ERROR_TYPE in one for one in calls], np.bool_)
        columns["late"] = np.zeros(len(calls), np.bool_)
        for name in (names.CODE_FUNCTION, names.CODE_FILE):
            columns[name] = np.array([hash_text(str(one.get(name, one["site"])).encode()) for one in calls], np.uint64)
        routes = (text(names.HTTP_ROUTE, i) for i in rows)
        columns[names.HTTP_ROUTE] = np.array([hash_text(one.encode()) if one else 0 for one in routes], np.uint64)
        columns[SITE_REPORTED] = np.ones(len(calls), np.bool_)
        columns["signs"] = np.array([self._signs(text(names.QUERY_SIGNS, i)) for i in rows], np.uint32)
        statements = [text(names.QUERY_TEXT, i) or text(names.STATEMENT, i) for i in rows]
        columns["trace"] = np.array(
            [hash_text(str(one["trace"]).encode()) if "trace" in one else 0 for one in calls], np.uint64
        )
        columns["fingerprint"] = np.array([hash_text(one.encode()) if one else 0 for one in statements], np.uint64)
        return columns, self._slots(calls, statements, columns)

    @staticmethod
    def _signs(words: str) -> int:
        return sum(1 << i for i, sign in enumerate(names.SIGNS) if sign in words.split(","))

    def _slots(
        self, calls: Sequence[Facts], statements: Sequence[str], columns: dict[str, NDArray[Any]]
    ) -> dict[str, NDArray[np.int32]]:
        keys: dict[str, list[str]] = {space.name: [] for space in SPACES}
        for one, statement in zip(calls, statements, strict=True):
            resource = str(one.get("resource", "r"))
            keys["resource"].append(resource)
            keys["session"].append(resource)
            keys["app"].append(str(one.get("app", "shop")))
            keys["caller"].append(str(one["site"]))
            keys["site"].append(f"{resource} {one['site']}")
            keys["statement"].append(f"{resource} {statement}")
            keys["site_statement"].append(f"{resource} {one['site']} {statement}")
        slot: dict[str, NDArray[np.int32]] = {}
        for space in SPACES:
            found: list[int] = []
            seen: list[int] = []
            for key in keys[space.name]:
                times = self.sightings[f"{space.name} {key}"] = self.sightings.get(f"{space.name} {key}", 0) + 1
                waiting = space.sketched and times == 1
                selected = self.slots[space.name]
                found.append(0 if waiting else selected.setdefault(key, len(selected) + 1))
                seen.append((FIRST, SECOND, KNOWN)[min(times, 3) - 1])
            slot[space.name] = np.array(found, np.int32)
            if space.sketched:
                columns[f"{space.name}.sighting"] = np.array(seen, np.int8)
        return slot
