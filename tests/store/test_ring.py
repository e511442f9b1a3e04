"""What an alert keeps of its occurrences: the newest, and the first of what it showed; and when accepting ends it."""

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.store import entries, queries, rules_meta
from backwatch.store.commit import Occurrence, RaisedAlert
from backwatch.store.decisions import decide
from backwatch.store.ring import RING, SHOWN, choose_kept
from backwatch.store.transactions import reading
from tests.services.commits import Owner, alert_id, make_cleared, make_raised

RULE = "certificate-changed"
ID = alert_id(RULE, "k")
ACCEPTS = (names.CERT_SHA256,)


def raise_showing(*certificates: str, at_ns: int = 1_000) -> RaisedAlert:
    found = [
        Occurrence(time_ns=at_ns, trace_id="", span_id="", evidence={names.CERT_SHA256: one}) for one in certificates
    ]
    return make_raised(rule=RULE, at_ns=at_ns, count=len(found), occurrences=found, accepts=ACCEPTS)


@pytest.fixture
def owner(store: sa.Engine) -> Owner:
    meta = {"name": RULE, "title": "t", "level": "high", "accepts": list(ACCEPTS)}
    rules_meta.write_rules(store, [meta])
    return Owner(store)


def detail(owner: Owner) -> tuple[str, list[Any]]:
    """The alert's state, and what its kept occurrences show, oldest first."""
    with reading(owner.engine) as connection:
        found = queries.get_alert(connection, ID)
    assert found is not None
    return found.alert.state, [one.evidence[names.CERT_SHA256] for one in reversed(found.occurrences)]


def accept(owner: Owner, certificate: str, now_ns: int = 10, until_ns: int = 0) -> bool:
    """The engine learns that the episode ends."""
    evidence = {names.CERT_SHA256: certificate}
    number = decide(owner.engine, ID, "accept", by="ann", now_ns=now_ns, until_ns=until_ns, evidence=evidence)
    with reading(owner.engine) as connection:
        return entries.after(connection, number - 1)[0].body["closes"]


@given(st.lists(st.sampled_from([None, *range(12)]), max_size=150), st.integers(0, 60))
def test_the_newest_are_kept_and_the_first_of_so_many_things_shown(shows: list[int | None], newest: int) -> None:
    found = choose_kept(shows, newest)
    assert set(found) >= set(range(max(0, len(shows) - newest), len(shows)))
    things = list(dict.fromkeys(one for one in shows if one is not None))[:SHOWN]
    assert {shows.index(one) for one in things} <= set(found)
    assert len(found) <= newest + SHOWN
    assert found == sorted(set(found))
    assert [shows[at] for at in found] == [
        [shows[at] for at in found][at] for at in choose_kept([shows[at] for at in found], newest)
    ]


def test_every_value_of_an_episode_stays_shown_beside_frequent_ones(owner: Owner) -> None:
    owner.commit(raise_showing("bb", "bb", "bb"))
    for _ in range(3):
        owner.commit(raise_showing(*["cc"] * 50))
    assert detail(owner) == ("open", ["bb", "cc"] + ["cc"] * RING)


def test_an_episode_that_is_over_is_shown_by_its_newest_occurrences_alone(owner: Owner) -> None:
    owner.commit(raise_showing("bb"), make_cleared(rule=RULE), raise_showing(*["cc"] * 50), raise_showing("cc"))
    assert detail(owner) == ("open", ["cc"] * (RING + 1))


def test_accepting_ends_an_episode_once_all_that_it_showed_is_accepted(owner: Owner) -> None:
    owner.commit(raise_showing("bb"), raise_showing(*["cc"] * 50))
    assert (accept(owner, "cc"), detail(owner)[0]) == (False, "open")
    assert (accept(owner, "bb"), detail(owner)[0]) == (True, "closed")


def test_an_acceptance_that_was_taken_back_or_has_ended_covers_nothing(owner: Owner) -> None:
    owner.commit(raise_showing("bb", "cc"))
    accept(owner, "cc", until_ns=15)
    assert not accept(owner, "bb", now_ns=20)
    decide(owner.engine, ID, "revoke", by="ann", now_ns=30)
    assert not accept(owner, "cc", now_ns=40)
    assert accept(owner, "bb", now_ns=50)


def test_acceptance_holds_for_shown_values_and_those_given_later(owner: Owner) -> None:
    def accepted() -> bool:
        with reading(owner.engine) as connection:
            found = queries.get_alert(connection, ID, now_ns=60)
        assert found is not None
        return found.accepted

    owner.commit(raise_showing("bb"), raise_showing("cc"))
    assert not accepted()
    accept(owner, "cc")
    assert accepted()
    owner.commit(raise_showing("bb"))
    assert not accepted()
    accept(owner, "bb", until_ns=60)
    assert not accepted()
    accept(owner, "bb", until_ns=61)
    assert accepted()
    decide(owner.engine, ID, "revoke", by="ann", now_ns=30)
    assert not accepted()


def test_accepting_does_not_end_an_episode_with_unkept_values(owner: Owner) -> None:
    owner.commit(raise_showing(*map(str, range(SHOWN))))
    assert [accept(owner, str(one)) for one in range(SHOWN)] == [False] * SHOWN


def test_nodes_are_accepted_in_any_order_and_one_by_one(owner: Owner) -> None:
    rules_meta.write_rules(owner.engine, [{"name": "topology-changed", "level": "high", "accepts": [names.TOPOLOGY]}])
    found = [
        Occurrence(time_ns=1, trace_id="", span_id="", evidence={names.TOPOLOGY: one}) for one in ("b,a", "c,a", "c")
    ]
    one = make_raised(rule="topology-changed", count=3, occurrences=found, accepts=[names.TOPOLOGY])
    owner.commit(one)

    def closes(nodes: str) -> bool:
        number = decide(owner.engine, one.alert_id, "accept", by="ann", now_ns=1, evidence={names.TOPOLOGY: nodes})
        with reading(owner.engine) as connection:
            return entries.after(connection, number - 1)[0].body["closes"]

    assert (closes("a,b"), closes("a,c")) == (False, True)
