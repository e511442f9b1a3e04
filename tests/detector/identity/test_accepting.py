"""Acceptance of the value in the alert, on the real store and engine, over restarts."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.facts import IDENTITY
from backwatch.collector.settings import DetectorSettings
from backwatch.collector.stream import Record
from backwatch.detector.columns.key_texts import alert_id, resource_key
from backwatch.detector.engine.log_entries import Decision
from backwatch.detector.engine.step import Engine
from backwatch.detector.rules import rulebook
from backwatch.detector.runtime.shard_worker import ShardWorker
from backwatch.store import decisions, queries, rules_meta, tables
from backwatch.store.connect import open_store
from backwatch.store.state import state_at
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.detector.identity.test_identities import (
    DAY,
    MOVED,
    ORIGINAL_SESSION,
    SWAPPED_SESSION,
    calls,
    find_raised,
    past,
    story,
)
from tests.detector.streams import SAFE, SECOND, START_NS, Call

PARTS = ("shop", "postgresql", "db.internal:5432", "shop")
ANOTHER = {**SWAPPED_SESSION, names.CERT_SHA256: "cc" * 32}
CERTIFICATE = "certificate-changed"


class Watching:
    """A detector over a store, restarted between any two inputs."""

    def __init__(self, engine: Engine, store: sa.Engine) -> None:
        self.engine, self.store, self.offset = engine, store, 0

    def _owner(self) -> ShardWorker:
        return ShardWorker(0, self.engine, self.store, DetectorSettings())

    def read_calls(self, found: Sequence[Call]) -> None:
        owner = self._owner()
        records = [
            Record(partition=0, offset=self.offset + i, value=value, appended_ns=appended, backfill=True)
            for i, (value, appended, _) in enumerate(streams.records(found))
        ]
        self.offset += len(records)
        owner.take(records, 0)
        assert owner.commit(1)

    def read_decisions(self) -> None:
        owner = self._owner()
        owner.take_entries()
        assert owner.commit(2)

    def decide(self, kind: str, rule: str = CERTIFICATE, **more: Any) -> None:
        decisions.decide(self.store, _alert(rule), kind, by="ann", now_ns=1, **more)

    def alerts(self) -> dict[str, tuple[str, int, int]]:
        """Return state, episode and count of each rule's alert."""
        table = tables.alert
        with reading(self.store) as connection:
            rows = connection.execute(sa.select(table.c.rule, state_at(2), table.c.episode, table.c.count))
        return {rule: (state, episode, count) for rule, state, episode, count in rows}

    def certificates(self) -> list[str]:
        """Return the certificates in the kept occurrences of ``certificate-changed``, oldest first."""
        with reading(self.store) as connection:
            detail = queries.get_alert(connection, _alert(CERTIFICATE))
        assert detail is not None
        return [one.evidence[names.CERT_SHA256][:2] for one in reversed(detail.occurrences)]


def _alert(rule: str) -> str:
    return alert_id(rule, "\x1f".join(PARTS))


@pytest.fixture
def watching(engine: Engine, tmp_path: Path) -> Iterator[Watching]:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    rules_meta.write_rules(store, [rulebook.rule_metadata(rule) for rule in engine.rules.rules])
    one = Watching(engine, store)
    one.read_calls(past())
    yield one
    store.dispose()


def test_acceptance_covers_the_current_server_and_another_one_raises_alerts(watching: Watching) -> None:
    watching.read_calls(calls(SWAPPED_SESSION, 3))
    watching.decide("accept")
    watching.read_decisions()
    watching.read_calls(calls(SWAPPED_SESSION, 3, 2.1))  # no other rule reports its address, version or identity
    assert watching.alerts() == {CERTIFICATE: ("closed", 1, 3)}
    watching.read_calls(calls(ANOTHER, 2, 2.2))
    assert watching.alerts() == {CERTIFICATE: ("open", 2, 5)}


def test_revoked_acceptance_makes_only_its_own_values_unknown(watching: Watching) -> None:
    certificate = {**ORIGINAL_SESSION, names.CERT_SHA256: "bb" * 32}
    watching.read_calls(calls(certificate, 3))
    watching.decide("accept")
    watching.read_decisions()
    watching.read_calls(calls(certificate, 3, 2.1))
    watching.decide("revoke")
    watching.read_decisions()
    watching.read_calls(calls(ORIGINAL_SESSION, 3, 2.2))  # the address in the alert is the usual one
    watching.read_calls(calls(certificate, 1, 2.3))
    assert watching.alerts() == {CERTIFICATE: ("open", 2, 4)}


def test_acceptance_with_an_end_holds_for_its_value_until_then(watching: Watching) -> None:
    watching.read_calls(calls(SWAPPED_SESSION, 1))
    watching.decide("accept", until_ns=START_NS + 12 * DAY)
    watching.read_decisions()
    watching.read_calls(calls(SWAPPED_SESSION, 20, 2.1, DAY // 3))
    watching.read_calls(calls(SWAPPED_SESSION, 4, 11.5))
    watching.read_calls(calls(ANOTHER, 1, 11.6))
    assert watching.alerts() == {CERTIFICATE: ("open", 2, 2)}
    watching.read_calls(calls(SWAPPED_SESSION, 3, 12.1))
    assert watching.alerts() == {CERTIFICATE: ("open", 2, 5)}


def test_two_values_can_be_accepted_in_turn(watching: Watching) -> None:
    for at, session in enumerate((SWAPPED_SESSION, ANOTHER)):
        watching.read_calls(calls(session, 1, 2 + at))
        watching.decide("accept")
        watching.read_decisions()
    watching.read_calls([*calls(SWAPPED_SESSION, 2, 4), *calls(ANOTHER, 2, 4.1)])
    assert watching.alerts() == {CERTIFICATE: ("closed", 2, 2)}


def test_values_newer_than_the_operators_view_are_not_accepted(watching: Watching) -> None:
    watching.read_calls(calls(SWAPPED_SESSION, 1))
    looked_at = {names.CERT_SHA256: "bb" * 32, names.PEER_ADDRESS: "10.0.9.9"}
    watching.read_calls(calls(ANOTHER, 1, 2.1))
    watching.decide("accept", evidence=looked_at)
    watching.read_decisions()
    watching.read_calls(calls(SWAPPED_SESSION, 1, 2.2))
    assert watching.alerts()[CERTIFICATE] == ("open", 1, 2)
    watching.read_calls(calls(ANOTHER, 1, 2.3))
    assert watching.alerts()[CERTIFICATE] == ("open", 1, 3)


@pytest.mark.parametrize("apart", [True, False])
def test_episode_with_unaccepted_values_stays_open_and_shows_them(watching: Watching, apart: bool) -> None:
    first_session, second_session = ({**ORIGINAL_SESSION, names.CERT_SHA256: one * 32} for one in ("bb", "cc"))
    found = calls(first_session, 3), *(calls(second_session, 20, 2.1 + turn / 100) for turn in range(3))
    for some in found if apart else [list(itertools.chain(*found))]:
        watching.read_calls(some)
    assert watching.alerts() == {CERTIFICATE: ("open", 1, 63)}
    assert watching.certificates() == ["bb", "cc"] + ["cc"] * 50  # the first of each, and the newest
    watching.decide("accept")
    watching.read_decisions()
    watching.read_calls(calls(second_session, 5, 2.2))
    assert watching.alerts() == {CERTIFICATE: ("open", 1, 63)}
    watching.read_calls(calls(first_session, 1, 2.3))
    assert watching.alerts() == {CERTIFICATE: ("open", 1, 64)}
    watching.decide("accept")
    watching.read_decisions()
    watching.read_calls([*calls(first_session, 2, 2.4), *calls(second_session, 2, 2.5)])
    assert watching.alerts() == {CERTIFICATE: ("closed", 1, 64)}


def test_firing_during_a_pending_decision_does_not_reopen_the_alert(watching: Watching) -> None:
    watching.read_calls(calls(SWAPPED_SESSION, 1))
    watching.decide("accept")
    watching.read_calls(calls(SWAPPED_SESSION, 1, 2.1))
    watching.read_decisions()
    assert watching.alerts()[CERTIFICATE][0] == "closed"


def test_accepted_node_is_a_known_node(watching: Watching) -> None:
    watching.read_calls(calls(ORIGINAL_SESSION, 1, backwatch__topology=MOVED))
    watching.decide("accept", "topology-changed")
    watching.read_decisions()
    watching.read_calls(calls(ORIGINAL_SESSION, 1, 2.1, backwatch__topology="b.internal:5432,c.internal:5432"))
    assert watching.alerts() == {"topology-changed": ("closed", 1, 1)}
    watching.read_calls(calls(ORIGINAL_SESSION, 1, 2.2, backwatch__topology=f"{MOVED},d.internal:5432"))
    assert watching.alerts() == {"topology-changed": ("open", 2, 2)}


def test_accepted_internal_redirect_covers_only_its_target(watching: Watching) -> None:
    def away(day: float, target: str) -> list[Call]:
        return calls(
            {**ORIGINAL_SESSION, names.SERVER_ADDRESS: "db.example"}, 1, day, backwatch__redirect__target=target
        )

    watching.read_calls(calls({**ORIGINAL_SESSION, names.SERVER_ADDRESS: "db.example"}, 60, 2))
    watching.read_calls(away(2.1, "http://10.0.0.7/a"))
    rule = "redirected"
    one = alert_id(rule, "shop\x1fpostgresql\x1fdb.example:5432\x1fshop")
    decisions.decide(watching.store, one, "accept", by="ann", now_ns=1)
    watching.read_decisions()
    watching.read_calls(away(2.2, "http://10.0.0.7/a"))
    assert watching.alerts()[rule] == ("closed", 1, 1)
    watching.read_calls(away(2.3, "gopher://10.0.0.7:6379/_x"))
    assert watching.alerts()[rule] == ("open", 2, 2)


def test_accepted_weaker_login_covers_only_its_method(watching: Watching) -> None:
    strong = {**ORIGINAL_SESSION, names.AUTH_METHOD: "scram-sha-256"}
    watching.read_calls(calls(strong, 60))
    rule = "auth-downgraded"
    watching.read_calls(calls({**strong, names.AUTH_METHOD: "md5"}, 1, 2.1))
    watching.decide("accept", rule)
    watching.read_decisions()
    watching.read_calls(calls({**strong, names.AUTH_METHOD: "md5"}, 2, 2.2))
    assert watching.alerts()[rule] == ("closed", 1, 1)
    watching.read_calls(calls({**strong, names.AUTH_METHOD: "none"}, 1, 2.3))
    assert watching.alerts()[rule] == ("open", 2, 2)


def test_accepted_rule_supersedes_no_other_rule(watching: Watching) -> None:
    clear = {name: value for name, value in ORIGINAL_SESSION.items() if not name.startswith(("tls.", "backwatch.tls."))}
    clear |= {names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none", names.SERVER_ADDRESS: "plain.internal"}
    watching.read_calls(calls({**clear, names.AUTH_METHOD: "scram-sha-256"}, 60))
    weak = {**clear, names.AUTH_METHOD: "clear-password"}
    watching.read_calls(calls(weak, 3, 2.1))
    assert "password-in-clear" not in watching.alerts()
    one = alert_id("auth-downgraded", "shop\x1fpostgresql\x1fplain.internal:5432\x1fshop")
    decisions.decide(watching.store, one, "accept", by="ann", now_ns=1)
    watching.read_decisions()
    watching.read_calls(calls(weak, 50, 2.2))
    assert watching.alerts()["auth-downgraded"] == ("closed", 1, 3)
    assert watching.alerts()["password-in-clear"] == ("open", 1, 50)


def test_accepted_rule_still_supersedes_outside_its_acceptance(engine: Engine) -> None:
    old = Decision(1, "accept", _alert(CERTIFICATE), START_NS + int(2.15 * DAY))
    found = find_raised(engine, story(past(), old, calls(SWAPPED_SESSION, 1, 2.1), calls(SWAPPED_SESSION, 1, 2.2)))
    assert found == [(CERTIFICATE, "bb"), ("peer-changed", "bb")]


def test_older_acceptance_without_values_silences_as_before(engine: Engine) -> None:
    old = Decision(1, "accept", _alert(CERTIFICATE))
    first_session, another = ({**ORIGINAL_SESSION, names.CERT_SHA256: one * 32} for one in ("bb", "cc"))
    assert find_raised(
        engine, story(past(), calls(first_session), old, calls(first_session, 2, 2.1), calls(another, 2, 2.2))
    ) == [(CERTIFICATE, "bb")]


def test_acceptance_of_a_rule_ends_findings_made_while_pending(watching: Watching) -> None:
    weak = {**ORIGINAL_SESSION, names.TLS_VERSION: "1.0"}
    watching.read_calls(calls(weak, 2))
    watching.decide("accept", "weak-tls")
    watching.read_calls(calls(weak, 2, 2.1))
    assert watching.alerts() == {"weak-tls": ("open", 2, 4)}
    watching.read_decisions()
    watching.read_calls(calls(weak, 2, 2.2))
    assert watching.alerts() == {"weak-tls": ("closed", 2, 4)}
    watching.decide("revoke", "weak-tls")
    watching.read_decisions()
    watching.read_calls(calls(weak, 2, 2.3))
    assert watching.alerts() == {"weak-tls": ("open", 3, 6)}


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("restart", ["", "snapshot", "delta"])
@pytest.mark.parametrize("until_ns", [0, START_NS + int(2.25 * DAY)])
def test_acceptance_does_not_depend_on_batches_or_restarts(
    engine: Engine, size: int, restart: str, until_ns: int
) -> None:
    values = {name: str(SWAPPED_SESSION[name]) for name in IDENTITY if name in SWAPPED_SESSION}
    about = CERTIFICATE, resource_key(PARTS).resource_id
    accept = Decision(1, "accept", _alert(CERTIFICATE), until_ns, *about, values=values)
    revoke = Decision(2, "revoke", _alert(CERTIFICATE))
    parts = (
        past(), calls(SWAPPED_SESSION, 5), accept, calls(SWAPPED_SESSION, 5, 2.1), calls(ANOTHER, 5, 2.2),
        calls(SWAPPED_SESSION, 5, 2.3), revoke, calls(SWAPPED_SESSION, 5, 2.4), calls(ORIGINAL_SESSION, 5, 2.5),
    )  # fmt: skip
    expected = find_raised(engine, story(*parts))
    shown = [certificate for _, certificate in expected]
    assert (shown.count("bb"), shown.count("cc")) == (15 if until_ns else 10, 5)
    assert expected == find_raised(engine, story(*parts, size=size), restart=restart)


def test_accepted_message_form_raises_nothing_and_another_form_does(watching: Watching) -> None:
    kafka = {**SAFE, names.MESSAGING_SYSTEM: "kafka", names.MESSAGING_DESTINATION: "orders"}

    def polls(forms: str, day: float, count: int = 1) -> list[Call]:
        statement_facts = {names.STATEMENT: "poll orders", names.CODE_FUNCTION: "take", names.CODE_FILE: "worker.py"}
        return [
            Call(START_NS + int(day * DAY) + i * 60 * SECOND, kafka, {**statement_facts, names.MESSAGE_FORMS: forms})
            for i in range(count)
        ]

    def state() -> tuple[str, int, int]:
        return watching.alerts()["unusual-message"]

    watching.read_calls(polls("json+key+trace", 2, 200))
    watching.read_calls(polls("json+key", 3, 2))
    assert state() == ("open", 1, 2)
    with reading(watching.store) as connection:
        alert = connection.execute(
            sa.select(tables.alert.c.id).where(tables.alert.c.rule == "unusual-message")
        ).scalar()
    decisions.decide(watching.store, str(alert), "accept", by="ann", now_ns=1)
    watching.read_decisions()
    watching.read_calls(polls("json+key", 3.1, 2))
    assert state() == ("closed", 1, 2)
    watching.read_calls(polls("json", 3.2))
    assert state() == ("open", 2, 3)
