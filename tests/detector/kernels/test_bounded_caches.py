"""Caches hold a bounded number of values, and no result depends on the bound."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.detector.columns.prepared import Columns, dialect_of, sign_mask
from backwatch.detector.decoding import schema
from backwatch.detector.decoding.decoder import decode
from backwatch.detector.derived import cached_number, numbers, text_columns
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.ingest import otlp_writer
from backwatch.detector.kernels.bounded_cache import BoundedCache
from tests.detector.streams import SAFE, START_NS, Call, Facts, encode, entry, records, statement

KEY = bytes(range(16))
LEVELS = {schema.RESOURCE: "app", schema.SCOPE | schema.SPAN: "session", schema.SPAN: "call"}


@given(st.integers(1, 6), st.lists(st.integers(0, 9), max_size=60))
def test_results_of_any_bound_equal_the_uncached_function(limit: int, keys: list[int]) -> None:
    cache = BoundedCache[int, int](limit)

    def compute(key: int) -> int:
        return cache.get(key - 1, lambda: compute(key - 1)) + key if key else 0

    for key in keys:
        assert sum(range(key + 1)) == cache.get(key, lambda key=key: compute(key))
        assert len(cache) <= limit


def test_exception_while_computing_changes_nothing() -> None:
    cache = BoundedCache[int, int](1)
    assert cache.get(1, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        cache.get(2, lambda: 1 // 0)
    assert cache.get(1, lambda: 8) == 7


def test_cache_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="limit=0"):
        BoundedCache[int, int](0)


TEXTS = st.lists(st.sampled_from(["1.3", "10.0.0.5", "json", "postgresql", "redis", "tautology", "a:1,b:2", "", "é"]))


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), TEXTS, st.sampled_from(schema.TEXTS[4:]))
def test_columns_of_any_bound_equal_those_of_a_large_one(limit: int, texts: list[str], name: str) -> None:
    value = encode([Call(START_NS + i, {**SAFE, name: text}, {name: text}) for i, text in enumerate(texts)])
    with pytest.MonkeyPatch.context() as patch:
        for module, bound in (
            (cached_number, "CELLS"), (text_columns, "MAX_CACHED_LISTS"), (numbers, "MAX_TOPOLOGIES"),
        ):  # fmt: skip
            patch.setattr(module, bound, 1 << limit)
        small = Columns(KEY)
    wide = Columns(KEY)
    for _ in range(2):
        small_columns, wide_columns = small.prepare(decode([value])).columns, wide.prepare(decode([value])).columns
        for column, expected in wide_columns.items():
            assert [_plain(one) for one in expected] == [_plain(one) for one in small_columns[column]], column


def _plain(value: Any) -> Any:
    plain = value.tolist() if hasattr(value, "tolist") else value
    return str(plain)


def test_zero_and_minus_zero_keep_their_own_encodings() -> None:
    assert otlp_writer.encode_attribute("k", 0.0) != otlp_writer.encode_attribute("k", -0.0)


def message(name: str, distinct: int, number: int, value_of: Callable[[int], str | int]) -> bytes:
    """Return one request with so many distinct values of an attribute."""
    first = number * distinct
    return b"".join(
        encode([_call(name, value_of(first + i), i)]) for i in range(distinct)
    )  # requests concatenate: a request is one repeated field


def _call(name: str, value: str | int, at: int) -> Call:
    session: Facts = {**SAFE, name: value}
    return Call(START_NS + at, session, {**statement("SELECT ?"), name: value})


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine(EngineConfig(key=KEY))


SYSTEMS_AND_SIGNS = [(names.DB_SYSTEM, 1_101), (names.QUERY_SIGNS, 10_101)]


@pytest.mark.parametrize(("name", "distinct"), SYSTEMS_AND_SIGNS)
def test_more_distinct_values_than_a_cache_holds_stop_no_detector(name: str, distinct: int, engine: Engine) -> None:
    """Failure that taught it: the caches of dialects and signs emptied between a store and its read."""
    value = message(name, distinct, 0, lambda i: f"other-{i}")
    findings = engine.step(engine.new_shard(), entry([(value, START_NS + 10**9, True)]))
    assert (distinct, []) == (findings.calls, findings.unreadable)


ATTRIBUTES = [name for name in (*schema.TEXTS, *schema.NUMBERS) if name != names.SPAN_NAME]
"""Facts that may be an attribute. The name of a span is a field."""


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_distinct_attribute_values_are_judged_within_and_over_requests(name: str, engine: Engine) -> None:
    shard = engine.new_shard()
    number = name in schema.NUMBERS
    for at, distinct in enumerate((1_001, 60, 60)):
        value = message(name, distinct, at, lambda i: i + 1 if number else f"other-{i}")
        findings = engine.step(shard, entry([(value, START_NS + 10**9, True)]))
        assert findings.unreadable == [], findings.unreadable[0].reason
        assert findings.calls == distinct


def test_caches_stay_bounded_under_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[BoundedCache[Any, Any]] = []
    original = BoundedCache.__init__

    def counted(self: BoundedCache[Any, Any], limit: int) -> None:
        original(self, limit)
        found.append(self)

    monkeypatch.setattr(BoundedCache, "__init__", counted)
    columns = Columns(KEY)
    for name in (names.DB_SYSTEM, names.QUERY_SIGNS, names.PEER_ADDRESS, names.CERT_ISSUER, names.TOPOLOGY):
        columns.prepare(decode([message(name, 12_000, 0, lambda i: f"other-{i}")]))
    assert found
    assert all(len(cache) <= cache._limit for cache in found)  # pyright: ignore[reportPrivateUsage]


def test_sign_texts_and_systems_are_read_unchanged() -> None:
    assert sign_mask("") == 0
    assert sign_mask(f"{names.SIGNS[2]},nosuch,{names.SIGNS[0]}") == 0b101
    assert dialect_of("Redis") == -1
    assert dialect_of("") == dialect_of("nosuch")
    assert np.unique([dialect_of("postgresql"), dialect_of("mysql")]).shape == (2,)
    assert records([]) == []
