"""Loopback is exempt or judged, as configured. Traffic in memory is always exempt."""

from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from backwatch.collector import names
from backwatch.collector.cli import main
from backwatch.collector.settings import DetectorSettings, SettingError, load
from backwatch.detector.derived.text_columns import PEER_LOCAL, TextColumns
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import EngineConfig
from tests.detector import streams
from tests.detector.small_engine import hash_text

PLAIN: dict[str, Any] = {
    names.DB_SYSTEM: "postgresql", names.SERVER_ADDRESS: "localhost", names.TLS_ESTABLISHED: False,
    names.PEER_ADDRESS: "127.0.0.1", names.TRANSPORT: "tcp",
}  # fmt: skip
UNVERIFIED: dict[str, Any] = {**PLAIN, names.TLS_ESTABLISHED: True, names.TLS_VERIFIED: "none"}
SOCKET: dict[str, Any] = {**PLAIN, names.SERVER_ADDRESS: "/run/postgresql", names.TRANSPORT: "unix"}
del SOCKET[names.PEER_ADDRESS]


def find_raised(session: dict[str, Any], *, judge: bool) -> set[str]:
    engine = make_engine(EngineConfig(judge_loopback=judge))
    calls = [streams.Call(streams.START_NS, session, streams.statement("SELECT ?"))]
    return {
        one.rule.name for one in engine.step(engine.new_shard(), streams.entry(streams.records(calls))).iter_findings()
    }


@pytest.mark.parametrize(("session", "rule"), [(PLAIN, "plaintext-session"), (UNVERIFIED, "unverified-session")])
def test_loopback_is_an_alert_only_where_it_is_judged(session: dict[str, Any], rule: str) -> None:
    assert rule not in find_raised(session, judge=False)
    assert rule in find_raised(session, judge=True)


def test_unix_socket_is_exempt_even_where_loopback_is_judged() -> None:
    assert "plaintext-session" not in find_raised(SOCKET, judge=True)


def test_each_row_of_a_batch_is_judged_separately() -> None:
    rows = [
        ("tcp", "127.0.0.1", "db"), ("tcp", "10.0.0.5", "localhost"), ("", "", "localhost"), ("inproc", "", "a.db"),
        ("tcp", "::ffff:127.0.0.1", "db"), ("", "", ""), ("tcp", "127.0.0.1", "db"), ("tcp", "127.0.0.1.evil", "db"),
    ]  # fmt: skip
    fact_names = names.TRANSPORT, names.PEER_ADDRESS, names.SERVER_ADDRESS
    columns = {
        name: np.array([hash_text(row[at].encode()) if row[at] else 0 for row in rows], np.uint64)
        for at, name in enumerate(fact_names)
    }
    absent = (
        names.CERT_NOT_AFTER, names.CERT_ISSUER, names.CERT_SUBJECT, names.TLS_VERSION, names.REDIRECT_TARGET,
        names.OPERATION, names.SYSTEM, names.STATEMENT,
    )  # fmt: skip
    columns |= {name: np.zeros(len(rows), np.uint64) for name in absent}
    found = TextColumns(hash_text).columns(columns, lambda name, row: rows[row][fact_names.index(name)])[PEER_LOCAL]
    assert found.tolist() == [1, 0, 1, 1, 1, 0, 1, 0]


def test_loopback_setting_has_two_values() -> None:
    assert load(DetectorSettings, environment={}).loopback == "exempt"
    assert load(DetectorSettings, environment={"BACKWATCH_DETECTOR_LOOPBACK": "Judge"}).loopback == "judge"
    with pytest.raises(SettingError, match="BACKWATCH_DETECTOR_LOOPBACK='on': must be one of exempt, judge"):
        load(DetectorSettings, environment={"BACKWATCH_DETECTOR_LOOPBACK": "on"})


def test_replay_judges_loopback_on_request() -> None:
    spans = streams.encode([streams.Call(streams.START_NS, PLAIN, streams.statement("SELECT ?"))])
    results = {word: CliRunner().invoke(main, ["replay", "--loopback", word, "-"], input=spans) for word in
            ("exempt", "judge")}  # fmt: skip
    assert {word: "plaintext-session" in one.stdout for word, one in results.items()} == {
        "exempt": False,
        "judge": True,
    }


def test_stripped_session_raises_one_alert() -> None:
    engine = make_engine(EngineConfig())
    quiet = [streams.Call(streams.START_NS + i * 10**10, streams.SAFE, streams.statement("SELECT ?")) for i in
             range(100)]  # fmt: skip
    stripped = {**streams.SAFE, names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none", names.TLS_REQUESTED: "prefer"}
    last = streams.Call(quiet[-1].end_ns + 10**10, stripped, streams.statement("SELECT ?"))
    found = engine.step(engine.new_shard(), streams.entry(streams.records([*quiet, last]))).iter_findings()
    assert [one.rule.name for one in found] == ["tls-stripped"]
