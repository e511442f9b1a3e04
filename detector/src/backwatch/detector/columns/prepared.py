"""Columns that detectors and rules read: keyed hashes, fingerprints, and one address per key space.

Caches here are pure functions of their key: an entry may make room at any moment and no result changes. So an attacker
who floods them costs time and nothing else.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.statements.families import derive_family
from backwatch.detector.columns.addresses import (
    APP,
    CONTENT_FACTS,
    RESOURCE,
    RESOURCE_FACTS,
    SESSION,
    SESSION_FACTS,
    STATEMENT,
    STATEMENT_FACTS,
    addresses,
    places,
)
from backwatch.detector.decoding import schema
from backwatch.detector.decoding.decoder import DecodedCalls
from backwatch.detector.derived.cached_number import CachedNumber
from backwatch.detector.derived.numbers import NumberColumns
from backwatch.detector.derived.payload_kinds import PayloadColumns
from backwatch.detector.derived.text_columns import TextColumns
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.hashing import mix
from backwatch.detector.kernels.memory import address_of, load64
from backwatch.detector.rules.fields import CALL_FIELDS, DOMAINS
from backwatch.detector.state.keys import SITE_REPORTED
from backwatch.detector.statements.call_statement import DOCUMENT_SHAPE, NO_SQL, NONE, SQL, canonical, choose
from backwatch.detector.statements.fingerprint import dialect_number, hash_key, new_scratch, siphash
from backwatch.detector.statements.skeleton import CLASSES, skeleton
from backwatch.detector.statements.structure.batch import Tokens, tokens_of_calls

Array = NDArray[Any]

CACHED_STATEMENTS = 1 << 16
"""Statements whose fingerprint, and fingerprints whose family, are remembered."""
_QUERY = schema.TEXT_INDEX[names.QUERY_TEXT]
_COLUMNS_OF = {
    domain: tuple(
        column for column in schema.COLUMNS if column.name in CALL_FIELDS and CALL_FIELDS[column.name].domain == domain
    )
    for domain in DOMAINS
}
"""A flood of new statements costs a reading of each: of what rules ask for there, and no more."""


@kernel
def _hash_texts(buffer: Array, offsets: Array, lengths: Array, k0: np.uint64, k1: np.uint64, out: Array) -> None:
    rows, columns = offsets.shape
    for i in range(rows):
        for c in range(columns):
            length = lengths[i, c]
            if length <= 0:
                out[c, i] = 0
            elif c == _QUERY:
                out[c, i] = 1  # present; its hash is the fingerprint
            elif i > 0 and offsets[i, c] == offsets[i - 1, c] and lengths[i - 1, c] == length:
                out[c, i] = out[c, i - 1]  # inherited from the same scope or resource
            else:
                out[c, i] = siphash(buffer, offsets[i, c], length, k0, k1) | np.uint64(1)


@kernel
def _fingerprints(
    texts: tuple[Array, Array, Array],
    chosen: Array,
    hashes: Array,
    classes: Array,
    work: tuple[Array, Array],
    cache: tuple[Array, Array],
    key_halves: tuple[np.uint64, np.uint64],
    out: Array,
) -> None:
    buffer, offsets, lengths = texts
    scratch, tokens = work
    cache_key, cache_value = cache
    k0, k1 = key_halves
    mask = np.uint64(cache_key.shape[0] - 1)
    for i in range(chosen.shape[0]):
        mode = chosen[i, 0]
        if mode == NONE:
            out[i] = 0
            continue
        kind = np.uint64(mode * 64 + chosen[i, 1] + 2)
        if chosen[i, 2] == _QUERY:
            start, size = offsets[i, _QUERY], lengths[i, _QUERY]
            plain = skeleton(buffer, start, start + size, classes, scratch) if mode == SQL else -1
            if plain >= 0:
                key = mix(siphash(scratch, 0, plain, k0, k1), kind + np.uint64(32))
            else:
                key = mix(siphash(buffer, start, size, k0, k1), kind)
        else:
            key = mix(hashes[chosen[i, 2], i], kind)
        if chosen[i, 3] >= 0:
            key = mix(key, hashes[chosen[i, 3], i])
        cell = key & mask
        if cache_key[cell] == key:
            out[i] = cache_value[cell]
            continue
        length = canonical(buffer, chosen[i], offsets[i], lengths[i], scratch, tokens)
        out[i] = siphash(scratch, 0, length, k0, k1) | np.uint64(1)
        cache_key[cell] = key
        cache_value[cell] = out[i]


@kernel
def _hash_traces(buffer: Array, offset: Array, out: Array) -> None:
    at = address_of(buffer)
    for i in range(offset.shape[0]):
        if 0 <= offset[i] <= buffer.shape[0] - 16:
            first, second = np.uint64(load64(at + offset[i])), np.uint64(load64(at + offset[i] + 8))
            if first | second:
                out[i] = mix(first, second)


@kernel
def _families(fingerprint: Array, reported: Array, keys: Array, values: Array, out: Array, missing: Array) -> int:
    mask = np.uint64(keys.shape[0] - 1)
    count = 0
    for i in range(fingerprint.shape[0]):
        if reported[i]:
            continue
        cell = fingerprint[i] & mask
        if keys[cell] == fingerprint[i]:
            out[i] = values[cell]
        else:
            missing[count] = i
            count += 1
    return count


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A batch's columns.

    Attributes:
        columns: As :class:`~backwatch.detector.detectors.Calls` describes them, without time and sightings.
        address: Per key space, uint64 per call.
        entry: Per rule domain (session, statement, resource, content), uint64 per call: equal facts, equal value.
        chosen: int64 [count, 4]: mode, dialect and columns of each call's statement (see ``statements.choose``).
    """

    decoded: DecodedCalls
    columns: dict[str, NDArray[Any]]
    address: dict[str, NDArray[np.uint64]]
    entry: dict[str, NDArray[np.uint64]]
    chosen: NDArray[np.int64]
    scratch: tuple[NDArray[np.uint8], NDArray[np.int64]]

    def canonical(self, row: int) -> bytes:
        """Return the canonical text of this call's statement."""
        decoded = self.decoded
        length = canonical(decoded.buffer, self.chosen[row], decoded.offsets[row], decoded.lengths[row], *self.scratch)
        return self.scratch[0][:length].tobytes()

    def tokens(self, rows: NDArray[np.int64]) -> Tokens:
        """Return the tokens of these calls' statements. Those that are neither SQL nor documents have none."""
        decoded = self.decoded
        texts = decoded.buffer, decoded.offsets, decoded.lengths
        return tokens_of_calls(texts, self.chosen, self.columns["fingerprint"], rows, self.scratch, decoded.count)

    def rule_facts(self, row: int, domain: str) -> dict[str, Any]:
        """Return the facts of this call that rules may read in a domain, with the statement in canonical form."""
        facts = self.decoded.get_reported_facts(row, _COLUMNS_OF[domain])
        if domain != "statement":
            return facts
        canonical = self.canonical(row).decode("utf-8", "replace")
        facts[names.STATEMENT if names.STATEMENT in facts else names.QUERY_TEXT] = canonical
        return facts


def sign_mask(text: str) -> int:
    """Return the bits of the signs that a comma-separated text names; unknown words have none."""
    words = text.split(",")
    return sum(1 << i for i, sign in enumerate(names.SIGNS) if sign in words)


def dialect_of(system: str) -> int:
    """Return the number of a system's SQL dialect; a number below 0 if its query text is no SQL."""
    name = system.lower()
    if name in schema.DOCUMENT_SYSTEMS:
        return DOCUMENT_SHAPE
    return NO_SQL if name in schema.VERBATIM_SYSTEMS else dialect_number(name)


class Columns:
    """Prepares batches under one installation key."""

    def __init__(self, key: bytes, *, judge_loopback: bool = False) -> None:
        self._k0, self._k1 = hash_key(key)
        self._scratch = new_scratch()
        self._dialects = CachedNumber()
        self._statements = np.zeros(CACHED_STATEMENTS, np.uint64), np.zeros(CACHED_STATEMENTS, np.uint64)
        self._family_of = np.zeros(CACHED_STATEMENTS, np.uint64), np.zeros(CACHED_STATEMENTS, np.uint64)
        self._signs = CachedNumber()
        self._derived = TextColumns(self.hash, judge_loopback=judge_loopback)
        self._readings = NumberColumns(self.hash)
        self._payloads = PayloadColumns(self.hash)

    def hash(self, text: bytes) -> int:
        """Return a text's keyed hash."""
        buffer = np.frombuffer(text or b"\0", np.uint8)
        return int(siphash(buffer, 0, len(text), self._k0, self._k1)) | 1

    def prepare(self, decoded: DecodedCalls) -> Prepared:
        """Compute all columns and addresses of a batch."""
        count = decoded.count
        hashes = np.zeros((len(schema.TEXTS), count), np.uint64)
        _hash_texts(decoded.buffer, decoded.offsets, decoded.lengths, self._k0, self._k1, hashes)
        numbers = np.ascontiguousarray(decoded.numbers.T)
        flags = np.ascontiguousarray(decoded.flags.T)
        columns: dict[str, NDArray[Any]] = {name: hashes[i] for i, name in enumerate(schema.TEXTS)}
        columns |= {name: numbers[i] for i, name in enumerate(schema.NUMBERS)}
        columns |= {name: flags[i] for i, name in enumerate(schema.FLAGS)}
        columns["trace"] = np.zeros(count, np.uint64)
        _hash_traces(decoded.buffer, decoded.trace, columns["trace"])
        columns["duration_ns"] = decoded.end_ns - decoded.start_ns
        columns["error"] = decoded.error | (columns[names.ERROR_TYPE] != 0)
        columns["signs"] = self._sign_masks(decoded, columns[names.QUERY_SIGNS])
        columns |= self._derived.columns(columns, decoded.text)
        columns |= self._readings.columns(columns, decoded.text)
        columns |= self._payloads.columns(columns, decoded.text)
        chosen = np.empty((count, 4), np.int64)
        choose(
            decoded.buffer, decoded.offsets, decoded.lengths, self._dialect(decoded, columns[names.DB_SYSTEM]), chosen
        )
        fingerprint = np.zeros(count, np.uint64)
        texts = decoded.buffer, decoded.offsets, decoded.lengths
        halves = self._k0, self._k1
        _fingerprints(texts, chosen, hashes, CLASSES, self._scratch, self._statements, halves, fingerprint)
        columns["fingerprint"] = fingerprint
        found = addresses(hashes, numbers, flags, columns["error"], fingerprint)
        address = {"resource": found[RESOURCE], "session": found[SESSION], "statement": found[STATEMENT],
                   "app": found[APP]}  # fmt: skip
        entry = {
            "resource": found[RESOURCE_FACTS], "session": found[SESSION_FACTS], "statement": found[STATEMENT_FACTS],
            "content": found[CONTENT_FACTS],
        }  # fmt: skip
        prepared = Prepared(
            decoded=decoded, columns=columns, address=address, entry=entry, chosen=chosen, scratch=self._scratch
        )
        self._places(prepared)
        return prepared

    def _sign_masks(self, decoded: DecodedCalls, hashes: NDArray[np.uint64]) -> NDArray[np.uint32]:
        masks = self._signs.of(hashes, lambda row: sign_mask(decoded.text(names.QUERY_SIGNS, row)), 0)
        return masks.astype(np.uint32)

    def _dialect(self, decoded: DecodedCalls, systems: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the number of each call's SQL dialect; -1 if its query text is no SQL."""
        return self._dialects.of(systems, lambda row: dialect_of(decoded.text(names.DB_SYSTEM, row)), dialect_of(""))

    def _places(self, prepared: Prepared) -> None:
        """Add the addresses that depend on the call site, else on the statement's family."""
        columns, address = prepared.columns, prepared.address
        function, file, route = columns[names.CODE_FUNCTION], columns[names.CODE_FILE], columns[names.HTTP_ROUTE]
        columns[SITE_REPORTED] = reported = (function != 0) | (file != 0) | (route != 0)
        family_of = self._family(prepared, reported)
        app = address["app"]
        made = np.empty_like(app), np.empty_like(app), np.empty_like(app)
        address["site"], address["site_statement"], address["caller"] = made
        places(
            address["resource"], app, (function, file, route, columns[names.CALL_PATH]), family_of, reported,
            columns["fingerprint"], made,
        )  # fmt: skip

    def _family(self, prepared: Prepared, reported: NDArray[np.bool_]) -> NDArray[np.uint64]:
        fingerprint = prepared.columns["fingerprint"]
        out = np.zeros(fingerprint.shape[0], np.uint64)
        missing = np.empty(fingerprint.shape[0], np.int64)
        keys, values = self._family_of
        count = _families(fingerprint, reported, keys, values, out, missing)
        found: dict[int, int] = {}
        for row in missing[:count].tolist():
            statement = int(fingerprint[row])
            if statement not in found:
                found[statement] = self.hash(derive_family(prepared.canonical(row).decode("utf-8", "replace")).encode())
                cell = statement & (CACHED_STATEMENTS - 1)
                keys[cell], values[cell] = statement, found[statement]
            out[row] = found[statement]
        return out
