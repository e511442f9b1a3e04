"""The numbered door, and what people say through it."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.store import entries, models, queries, rules_meta, tables
from backwatch.store.commit import Occurrence
from backwatch.store.decisions import KINDS, OpenedAgain, UnknownAlert, decide
from backwatch.store.meta import installation_key
from backwatch.store.transactions import reading, writing
from tests.services.commits import Owner, alert_id, make_cleared, make_raised

ID = alert_id("unusual-query", "k")


def test_entries_are_numbered_without_gaps_and_read_in_order(store: sa.Engine) -> None:
    for number in range(3):
        with writing(store) as connection:
            entries.append(connection, "profile", {"app": f"app {number}"}, number, "a release")
    with store.connect() as connection:
        entries.append(connection, "profile", {"app": "undone"}, 9, "a release")
        connection.rollback()
    with writing(store) as connection:
        assert entries.append(connection, "model", {"sha256": "x"}, 3, "a release") == 4
    with reading(store) as connection:
        rows = entries.after(connection, 1, 10)
        assert len(entries.after(connection, 1, 1)) == 1
    assert [row.id for row in rows] == [2, 3, 4]
    assert [row.body for row in rows] == [{"app": "app 1"}, {"app": "app 2"}, {"sha256": "x"}]


def test_a_reader_never_finds_a_smaller_number_later(store: sa.Engine) -> None:
    stop, seen, late = threading.Event(), [0], list[int]()

    def read() -> None:
        while not stop.is_set():
            with reading(store) as connection:
                for row in entries.after(connection, seen[-1], 100):
                    late.extend([row.id] if row.id != seen[-1] + 1 else [])
                    seen.append(row.id)

    def append() -> None:
        for _ in range(15):
            with writing(store) as connection:
                entries.append(connection, "profile", {}, 0, "x")

    reader, writers = threading.Thread(target=read), [threading.Thread(target=append) for _ in range(3)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert late == []


def test_unknown_kind_is_refused(store: sa.Engine) -> None:
    with writing(store) as connection, pytest.raises(ValueError, match="kind must be one of decision"):
        entries.append(connection, "gossip", {}, 0, "x")


@pytest.mark.parametrize(
    ("kind", "state"),
    [("acknowledge", "acknowledged"), ("close", "closed"), ("accept", "closed"), ("mute", "muted"), ("revoke", "open")],
)
def test_a_decision_is_an_entry_an_audit_row_and_a_state(store: sa.Engine, kind: str, state: str) -> None:
    Owner(store).commit(make_raised())
    number = decide(store, ID, kind, by=" ann ", why="known", now_ns=50)
    with reading(store) as connection:
        detail = queries.get_alert(connection, ID, now_ns=60)
        (entry,) = entries.after(connection, 0)
    assert detail is not None
    assert state == detail.alert.state
    (decision,) = detail.decisions
    assert (number, kind, "ann", "known", 1) == (
        decision.entry_id, decision.kind, decision.by, decision.why, decision.episode
    )  # fmt: skip
    expected = {"kind": kind, "alert_id": ID, "until_ns": 0}
    if kind == "accept":
        expected |= {"rule": "unusual-query", "resource_id": make_raised().resource_id, "values": {}, "closes": True}
    assert ("decision", expected) == (entry.kind, entry.body)


def test_an_acceptance_carries_what_the_evidence_shows_of_who_answered(store: sa.Engine) -> None:
    evidence = {names.CERT_SHA256: "aa", names.PEER_ADDRESS: "10.0.0.5", names.ACCOUNT: "shop", names.SERVER_ID: 7}
    occurrence = Occurrence(time_ns=1, trace_id="", span_id="", evidence=evidence)
    Owner(store).commit(make_raised(occurrences=[occurrence]))
    decide(store, ID, "accept", by="ann", now_ns=50)
    decide(store, ID, "accept", by="ann", now_ns=51, evidence={names.CERT_SHA256: "bb"})
    with reading(store) as connection:
        bodies = [entry.body["values"] for entry in entries.after(connection, 0)]
    assert bodies == [{names.CERT_SHA256: "aa", names.PEER_ADDRESS: "10.0.0.5"}, {names.CERT_SHA256: "bb"}]


def test_a_fold_of_many_resources_identities_cannot_be_accepted(store: sa.Engine) -> None:
    rules_meta.write_rules(store, [{"name": "unusual-query", "level": "high", "accepts": [names.CERT_SHA256]}])
    Owner(store).commit(make_raised(resource_id=""))
    with pytest.raises(ValueError, match="folds many resources"):
        decide(store, ID, "accept", by="ann", now_ns=50)
    decide(store, ID, "mute", by="ann", now_ns=51)


def test_a_mute_ends_by_itself(store: sa.Engine) -> None:
    Owner(store).commit(make_raised())
    decide(store, ID, "mute", by="ann", until_ns=100, now_ns=50)
    with reading(store) as connection:
        states = [queries.list_alerts(connection, now_ns=at_ns).rows[0].state for at_ns in (99, 100)]
    assert states == ["muted", "open"]


def test_closing_holds_only_for_its_own_episode(store: sa.Engine) -> None:
    owner = Owner(store)
    owner.commit(make_raised())
    decide(store, ID, "close", by="ann", now_ns=50)
    owner.commit(make_raised(at_ns=2_000))
    with reading(store) as connection:
        (row,) = queries.list_alerts(connection).rows
    assert (row.state, row.episode, row.count) == ("open", 2, 2)


def test_decision_on_an_ended_episode_is_refused_without_a_trace(store: sa.Engine) -> None:
    Owner(store).commit(make_raised(), make_cleared(), make_raised(at_ns=3_000))
    for kind in KINDS:
        with pytest.raises(OpenedAgain, match="opened again, look again: this is episode 2, not 1"):
            decide(store, ID, kind, by="ann", now_ns=50, episode=1)
    with reading(store) as connection:
        assert entries.after(connection, 0) == []
    assert decide(store, ID, "close", by="ann", now_ns=50, episode=2) == 1


@pytest.mark.parametrize(
    ("kind", "by", "why", "until_ns", "message"),
    [
        ("delete", "ann", "", 0, "kind must be one of"),
        ("close", "  ", "", 0, "by must have 1 to 200"),
        ("close", "a" * 201, "", 0, "by must have 1 to 200"),
        ("close", "ann", "w" * 2_001, 0, "why must have at most 2000"),
        ("close", "ann", "", 99, "until_ns must be 0 for close"),
        ("mute", "ann", "", 50, "until_ns must lie ahead"),
    ],
)
def test_what_is_no_decision_is_refused_and_leaves_nothing(
    store: sa.Engine, kind: str, by: str, why: str, until_ns: int, message: str
) -> None:
    Owner(store).commit(make_raised())
    with pytest.raises(ValueError, match=message):
        decide(store, ID, kind, by=by, why=why, until_ns=until_ns, now_ns=50)
    with reading(store) as connection:
        assert entries.after(connection, 0) == []


def test_a_decision_about_no_alert_leaves_no_number_behind(store: sa.Engine) -> None:
    with pytest.raises(UnknownAlert):
        decide(store, "\x00" * 99, "close", by="ann", now_ns=50)
    Owner(store).commit(make_raised())
    assert decide(store, ID, "close", by="ann", now_ns=50) == 1


def test_a_person_who_closes_while_the_engine_raises_is_never_lost(store: sa.Engine) -> None:
    owner = Owner(store)
    owner.commit(make_raised())
    closing = threading.Thread(
        target=lambda: [decide(store, ID, "close", by="ann", now_ns=50 + turn) for turn in range(10)]
    )
    closing.start()
    for turn in range(10):
        owner.commit(make_raised(at_ns=2_000 + turn))
    closing.join()
    with store.connect() as connection:
        row = connection.execute(sa.select(tables.alert)).mappings().one()
        expected = connection.scalar(sa.select(sa.func.max(tables.decision.c.episode)))
    assert row["count"] == 11
    assert expected == row["closed_episode"]


def test_the_installation_key_is_made_once(store: sa.Engine) -> None:
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(installation_key(store))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 1
    assert len(keys[0]) == 16


def test_rules_are_replaced_as_a_whole(store: sa.Engine) -> None:
    rules_meta.write_rules(
        store, [{"name": "a", "title": "A", "level": "low"}, {"name": "b", "title": "B", "level": "low"}]
    )
    rules_meta.write_rules(store, [{"name": "b", "title": "B2", "level": "high", "tags": ["attack.t1190"]}])
    with reading(store) as connection:
        (rule,) = rules_meta.read_rules(connection)
        assert rule == rules_meta.read_rule(connection, "b")
        assert rules_meta.read_rule(connection, "a") is None
    assert (rule.name, rule.title, rule.level, rule.tags) == ("b", "B2", "high", ("attack.t1190",))


def test_text_of_a_rules_page_is_bounded(store: sa.Engine) -> None:
    line = {"systems": ["postgresql"], "driver": "psycopg", "code": 'psycopg.connect(url, sslmode="verify-full")'}
    page: dict[str, Any] = {
        "how": ["x" * 70_000, "By night."], "fires_on": ["one"], "not": ["another"], "attack": "v18.1",
        "evidence": [{"field": "tls.cipher", "meaning": "Its cipher."}],
        "parameters": [{"title": "TLS", "note": "", "lines": [line]}],
        "techniques": [{"id": "T1557", "name": "Adversary-in-the-Middle", "later": "", "url": "https://x"}],
        "instead_of": ["b"],
    }  # fmt: skip
    rules_meta.write_rules(store, [{"name": "a", "title": "A", "level": "low", **page}])
    with reading(store) as connection:
        rule = rules_meta.read_rule(connection, "a")
    assert rule is not None
    assert (len(rule.how[0]), rule.how[1]) == (2_000, "By night.")
    assert (rule.fires_on, rule.silent_on, rule.instead_of) == (("one",), ("another",), ("b",))
    assert rule.evidence == (("tls.cipher", "Its cipher."),)
    assert rule.parameters[0].lines[0].code == line["code"]
    assert (rule.attack, rule.techniques[0].name) == ("v18.1", "Adversary-in-the-Middle")


def test_model_arrays_are_restored_and_objects_are_refused(store: sa.Engine) -> None:
    import numpy as np

    arrays = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.array([1], np.int64)}
    with writing(store) as connection:
        sha256 = models.put_arrays(connection, arrays, now_ns=1)
        assert sha256 == models.put_arrays(connection, dict(reversed(arrays.items())), now_ns=2)
        with pytest.raises(ValueError, match=r"[Oo]bject arrays"):
            models.put_arrays(connection, {"bad": np.array([print])}, now_ns=3)
    with reading(store) as connection:
        found = models.arrays(connection, sha256)
        with pytest.raises(LookupError):
            models.get_model(connection, "0" * 64)
    assert sorted(found) == ["bias", "weights"]
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
