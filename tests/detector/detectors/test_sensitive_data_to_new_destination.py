"""Kinds of data of a resource, and sensitive data that goes to a new host."""

from typing import Any

import pytest

from backwatch.collector import names
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import EngineConfig
from backwatch.store.commit import ClearedAlert
from tests.detector import streams
from tests.detector.detectors.test_new_destination import API, to
from tests.detector.small_engine import SmallEngine
from tests.detector.stories import DAY, list_fired

RULE = "sensitive-data-to-new-destination"


def sent(host: str, kinds: str, at_s: float = 3 * DAY, **facts: Any) -> dict[str, Any]:
    """Return a request that sends these kinds of data."""
    return to(at_s, host, **facts) | {names.DATA_SENT: kinds}


@pytest.mark.parametrize("kinds", ["card", "email,card", "iban", "national-id,health"])
def test_sensitive_data_to_a_new_host_is_critical(kinds: str) -> None:
    assert list_fired(API, [sent("drop.example.net", kinds)]) == [{RULE}]


@pytest.mark.parametrize(("host", "kinds"), [("drop.example.net", "email"), ("api.example.com", "card")])
def test_other_data_or_a_known_host_is_not(host: str, kinds: str) -> None:
    assert RULE not in list_fired(API, [sent(host, kinds)])[0]


def test_internal_host_is_not() -> None:
    assert RULE not in list_fired(API, [sent("10.0.0.5", "card", peer="10.0.0.5")])[0]


def test_first_hour_of_an_app_raises_nothing() -> None:
    assert RULE not in list_fired([sent("a.example.com", "card", i * 10.0) for i in range(90)])[0]


def test_host_of_a_release_is_not() -> None:
    release = {names.SERVICE_RELEASE: "2"}
    old = [{**call, names.SERVICE_RELEASE: "1"} for call in API]
    fired = list_fired(old, [{**sent("pay.example.net", "card", site="pay.py:charge"), **release}])
    assert RULE not in fired[0]


def test_resource_collects_its_kinds() -> None:
    engine = SmallEngine()
    engine.step([*API[:3], sent("api.example.com", "card", 9_000), to(9_100, "api.example.com")])
    rows = engine.tables["sensitive_data"]
    assert sorted(set(rows["kinds"].tolist())) == [0, 4]


def step(*facts: dict[str, Any]) -> Any:
    """Return the findings of calls on one plaintext session."""
    session = {**streams.SAFE, names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none", names.TLS_REQUESTED: ""}
    engine = make_engine(EngineConfig(key=b"a key of 16 byte"))
    calls = [
        streams.Call(1_790_000_000_000_000_000 + at, session, {**streams.statement("SELECT ?"), **more})
        for at, more in enumerate(facts)
    ]
    return engine.step(engine.new_shard(), streams.entry(streams.records(calls, backfill=True), 0))


def test_page_of_a_resource_shows_its_kinds() -> None:
    seen = [resource.facts.get("backwatch.data.resource") for resource in step({}).seen]
    assert seen == [None]
    seen = [resource.facts["backwatch.data.resource"] for resource in step({names.DATA_SENT: "iban,email"}, {}).seen]
    assert seen == ["email, iban"]


def test_plaintext_session_with_cards_outranks_one_with_weather() -> None:
    levels: dict[str, set[str]] = {}
    for kinds in ("", "card"):
        findings = step({names.DATA_RECEIVED: kinds} if kinds else {})
        levels[kinds] = {
            finding.level
            for event in findings.events
            if not isinstance(event, ClearedAlert)
            for finding in event.iter_findings()
            if finding.rule.name == "plaintext-session"
        }
    assert levels == {"": {"medium"}, "card": {"high"}}
