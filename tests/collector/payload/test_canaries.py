"""Canaries: found in responses of any shape, within bounds; without canaries nothing is searched."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pymysql
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector import names, settings
from backwatch.collector.payload import canaries
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.probes.psycopg import PsycopgProbe
from backwatch.collector.probes.pymysql import PyMySQLProbe
from backwatch.collector.probes.redis import RedisProbe
from tests.collector.probes.recording import watching
from tests.services.cpu_time import least_cpu_s
from tests.services.server import Server

WORD = "reserve.7f3a@shop.example"
INDICATOR = (names.RESPONSE_INDICATORS, "canary")


@pytest.fixture(autouse=True)
def planted() -> Iterator[None]:
    canaries.set_canaries([WORD, "grünspecht-42"])
    yield
    canaries.set_canaries(())


@pytest.mark.parametrize(
    "reply",
    [
        WORD, WORD.encode(), f"a{WORD}b", b"\x80\x04" + WORD.encode(), [b"x", [WORD]], {"a": {"b": WORD}}, ({WORD},),
        "der grünspecht-42", "der grünspecht-42".encode(), [b""] * 9_000 + [WORD.encode()],
    ],
)  # fmt: skip
def test_a_canary_is_found_in_any_response(reply: object) -> None:
    assert INDICATOR in detect_formats(reply)
    canaries.set_canaries(())
    assert INDICATOR not in detect_formats(reply)


@pytest.mark.parametrize("reply", [None, 7, WORD[:-1], WORD.upper(), {WORD: "a key is what was asked for"}, [[]], b""])
def test_a_response_without_a_canary_is_not_reported(reply: object) -> None:
    assert INDICATOR not in detect_formats(reply)


anything = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(), st.binary(), st.just(WORD)),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner), st.tuples(inner, inner)),
)


@given(anything)
def test_search_never_raises_and_finds_planted_canaries(reply: Any) -> None:
    def holds(value: Any) -> bool:
        if isinstance(value, dict):
            return any(map(holds, value.values()))
        return any(map(holds, value)) if isinstance(value, (list, tuple)) else value == WORD

    canaries.set_canaries([WORD])
    assert canaries.contains_canary(reply) is holds(reply)


def test_the_work_is_bounded() -> None:
    huge: list[object] = [["x" * 200_000] * 1_000] * 1_000
    loop: list[object] = []
    loop.append(loop)
    wide = [range(9)] * 1_000_000

    def look() -> None:
        assert not canaries.contains_canary(huge)
        assert not canaries.contains_canary(loop)
        assert not canaries.contains_canary(wide)
        assert not canaries.cells_contain_canary(lambda *_: b"x" * 100_000, 1_000_000, 1_000)

    assert least_cpu_s(look) < 0.5


def test_setting_error_names_the_problem_and_shows_no_canary() -> None:
    def loaded(text: str) -> tuple[str, ...]:
        return settings.load(settings.CollectorSettings, environment={"BACKWATCH_CANARIES": text}).canaries

    assert loaded(f" {WORD} ,, {WORD}, another-one") == (WORD, "another-one")
    for wrong in ("short", ",".join(f"canary-{i:04}" for i in range(65)), "x" * 201):
        with pytest.raises(settings.SettingError, match="BACKWATCH_CANARIES") as refused:
            loaded(wrong)
        assert wrong not in str(refused.value)
    assert WORD not in repr(settings.CollectorSettings(canaries=(WORD,)))


@pytest.mark.services
def test_a_row_of_postgresql_is_reported(postgresql: Server) -> None:
    with watching(PsycopgProbe) as recording, psycopg.connect(postgresql.tls_url) as connection:
        connection.execute("SELECT %s::text, 1", (WORD,)).fetchall()
        connection.execute("SELECT 'other', 2").fetchall()
        connection.cursor(binary=True).execute("SELECT generate_series(1, 3), %s::text", (WORD,))
    assert [one.facts.get(names.RESPONSE_INDICATORS) for one in recording.find("SELECT")] == [
        "canary",
        None,
        "canary",
    ]


@pytest.mark.services
def test_a_row_of_mariadb_is_reported(mariadb: Server) -> None:
    with (
        watching(PyMySQLProbe) as recording,
        pymysql.connect(host=mariadb.host, port=mariadb.port, user=mariadb.user, password=mariadb.password) as made,
        made.cursor() as cursor,
    ):
        cursor.execute("SELECT %s, 1", (WORD,))
        made.ping()
        cursor.execute("SELECT 'other', 2")
    signs = [one.facts.get(names.RESPONSE_INDICATORS) for one in recording.calls if one.operation != "connect"]
    assert [one for one in signs if one] == ["canary"]
    assert signs[0] == "canary"


@pytest.mark.services
def test_a_value_of_redis_is_reported(redis_server: Server, redis_prefix: str) -> None:
    with watching(RedisProbe) as recording, redis.Redis.from_url(redis_server.tls_url) as client:
        client.set(f"{redis_prefix}a", WORD, ex=60)
        client.set(f"{redis_prefix}b", "other", ex=60)
        client.mget(f"{redis_prefix}a", f"{redis_prefix}b")
        client.get(f"{redis_prefix}b")
    assert [one.facts.get(names.RESPONSE_INDICATORS) for one in recording.calls if "GET" in one.operation] == [
        "canary",
        None,
    ]
