"""Enforced profiles: what they do not hold raises, what they hold is not new, in any batches and over restarts."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from backwatch.collector import names
from backwatch.detector.engine.approvals import UNENFORCED
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Firings
from backwatch.detector.engine.log_entries import Approved, LogEntry, ProfileVersion, StreamRecords, Tick
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.step import Engine
from backwatch.detector.identity import approved as approved_calls
from backwatch.detector.profile.learning import Learner
from backwatch.detector.runtime.entry_rows import to_approved
from tests.detector import streams
from tests.detector.streams import SAFE, SECOND, Call, statement

HOURS = 3_600 * SECOND
NOVEL = {"unusual-query", "dynamic-query", "new-query-in-release", "query-attack"}
PAST = list(streams.quiet(random.Random(1), 900))
LATER_NS = PAST[-1].end_ns + 60 * SECOND
NEW = "SELECT id, note FROM orders WHERE note LIKE ? ORDER BY id"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine(streams.CONFIG)


def records(calls: Sequence[Call]) -> StreamRecords:
    found = [streams.encode([call]) for call in calls]
    return StreamRecords(
        values=found, appended_ns=np.array([call.end_ns for call in calls], np.int64),
        backfill=np.ones(len(found), np.bool_), offsets=np.arange(len(found), dtype=np.int64),
    )  # fmt: skip


def fired(engine: Engine, shard: Shard, *log: LogEntry) -> list[tuple[str, str, int]]:
    """Return rule, alert and time of each firing."""
    found: list[tuple[str, str, int]] = []
    for entry in log:
        for event in engine.step(shard, entry).events:
            if isinstance(event, Firings):
                found += [(event.rule.name, event.alert_id, int(time)) for time in event.times]
    return found


def rules(found: Sequence[tuple[str, str, int]]) -> set[str]:
    return {rule for rule, _, _ in found}


def learnt(calls: Sequence[Call]) -> Approved:
    learner = Learner()
    learner.add(streams.encode([call]) for call in calls)
    return to_approved(learner.profile("shop"))


def enforce(approved: Approved | None, app: str = "shop") -> ProfileVersion:
    return ProfileVersion(app, "ab", {}, approved)


def call(text: str, place: str = "views.py:orders", at_s: float = 0, **session: Any) -> Call:
    facts = {**SAFE, **{key.replace("__", "."): value for key, value in session.items()}}
    return Call(LATER_NS + int(at_s * SECOND), facts, statement(text, place))


def test_statement_outside_the_profile_raises_at_its_first_call_anywhere(engine: Engine) -> None:
    shard = engine.new_shard()
    found = fired(
        engine, shard, enforce(learnt(PAST)), records([call(NEW), call(NEW, "new.py:place"), call(NEW, at_s=1)])
    )
    assert rules(found) == {"unapproved-query"}
    assert len(found) == 3
    assert len({alert for _, alert, _ in found}) == 2


def test_statement_of_the_profile_raises_nothing_at_a_settled_call_site(engine: Engine) -> None:
    new = [call(NEW, at_s=at) for at in range(3)]
    without, held = engine.new_shard(), engine.new_shard()
    assert rules(fired(engine, without, records(PAST), records(new))) & NOVEL
    assert fired(engine, held, records(PAST), enforce(learnt([*PAST, *new])), records(new)) == []


def test_known_statement_outside_the_profile_raises_too(engine: Engine) -> None:
    shard = engine.new_shard()
    only = learnt([one for one in PAST if one.facts[names.CODE_FILE] != "cart.py"])
    found = fired(engine, shard, records(PAST), enforce(only), records([call(str(PAST[0].facts[names.QUERY_TEXT])),
                  call("UPDATE carts SET total = ? WHERE id = ?", "cart.py:save", 1)]))  # fmt: skip
    assert rules(found) == {"unapproved-query"}


def test_profile_excuses_no_injection_into_an_approved_statement(engine: Engine) -> None:
    shard = engine.new_shard()
    text = "SELECT id, total FROM orders WHERE customer_id = ?"
    attack = call(text + " OR ? = ? --")
    signs = {**attack.facts, names.QUERY_SIGNS: "tautology,comment-tail"}
    attack = Call(attack.end_ns, attack.session, signs)
    found = fired(engine, shard, records(PAST), enforce(learnt(PAST)), records([attack]))
    assert {"query-attack", "unapproved-query"} <= rules(found)


def test_housekeeping_needs_no_approval(engine: Engine) -> None:
    shard = engine.new_shard()
    calls = [call(text, at_s=at) for at, text in enumerate(("BEGIN", "COMMIT", "SAVEPOINT a", "SET TIME ZONE ?"))]
    assert fired(engine, shard, enforce(learnt(PAST)), records(calls)) == []


def test_route_and_call_path_do_not_matter(engine: Engine) -> None:
    shard = engine.new_shard()
    one = PAST[0]
    facts = {**one.facts, names.HTTP_ROUTE: "/orders", names.CALL_PATH: "a.py:b"}
    assert fired(engine, shard, enforce(learnt(PAST)), records([Call(LATER_NS, SAFE, facts)])) == []


def test_other_apps_are_not_judged(engine: Engine) -> None:
    shard = engine.new_shard()
    other = Call(LATER_NS, SAFE, statement(NEW), app="other")
    assert fired(engine, shard, enforce(learnt(PAST)), records([other])) == []


def test_exception_ends_with_its_day(engine: Engine) -> None:
    shard = engine.new_shard()
    (canonical,) = (text for _, text, _ in learnt([call(NEW)]).statements)
    base = learnt(PAST)
    excused = Approved(statements=(*base.statements, ("views.py:orders", canonical, LATER_NS + 10 * SECOND)))
    assert fired(engine, shard, enforce(excused), records([call(NEW)])) == []
    assert rules(fired(engine, shard, records([call(NEW, at_s=20)]))) == {"unapproved-query"}


def test_enforcement_ends_with_an_entry_that_ends_it_and_with_no_other(engine: Engine) -> None:
    shard = engine.new_shard()
    fired(engine, shard, enforce(learnt(PAST)), enforce(None))
    assert rules(fired(engine, shard, records([call(NEW)]))) == {"unapproved-query"}
    assert fired(engine, shard, enforce(Approved()), records([call(NEW, at_s=1)])) == []


def destination(host: str, place: str, at_s: float, peer: str = "93.184.216.34") -> Call:
    session = {
        names.SYSTEM: "http", names.SERVER_ADDRESS: host, names.SERVER_PORT: 443, names.TLS_ESTABLISHED: True,
        names.TLS_VERSION: "1.3", names.TLS_REQUESTED: "verify-full", names.TLS_VERIFIED: "full",
        names.PEER_ADDRESS: peer, names.TRANSPORT: "tcp",
    }  # fmt: skip
    file, _, function = place.partition(":")
    facts = {names.STATEMENT: "GET /", names.CODE_FILE: file, names.CODE_FUNCTION: function}
    return Call(LATER_NS + int(at_s * SECOND), session, facts)


@pytest.mark.parametrize(
    ("host", "place", "raised"),
    [
        ("api.pay.example", "pay.py:charge", False),
        ("evil.example", "pay.py:charge", True),
        ("evil.example", "other.py:call", True),
        ("api.pay.example", "other.py:call", False),
        ("db.internal", "other.py:call", False),
        ("db.internal", "pay.py:charge", True),
    ],
)
def test_destination_outside_the_profile_raises(engine: Engine, host: str, place: str, raised: bool) -> None:
    shard = engine.new_shard()
    held = learnt([destination("api.pay.example", "pay.py:charge", 0)])
    peer = "10.0.0.9" if host == "db.internal" else "93.184.216.34"
    found = fired(engine, shard, enforce(held), records([destination(host, place, 5, peer)]))
    assert ("unapproved-destination" in rules(found)) == raised


def _log(source: random.Random, sizes: int) -> list[LogEntry]:
    calls = [*PAST[:300], *(call(f"SELECT {column} FROM t", at_s=at) for at, column in enumerate("abcdefgh"))]
    entries: list[LogEntry] = [enforce(learnt([*PAST[:100], call("SELECT a FROM t")]))]
    start = 0
    while start < len(calls):
        size = source.randrange(1, sizes)
        entries.append(records(calls[start : start + size]))
        start += size
    return [*entries, Tick(LATER_NS + HOURS)]


@pytest.mark.parametrize("seed", range(3))
def test_findings_depend_neither_on_batches_nor_on_restarts(engine: Engine, seed: int) -> None:
    whole = fired(engine, engine.new_shard(), *_log(random.Random(seed), 1_000))
    shard, saved, found = engine.new_shard(), list[bytes](), list[tuple[str, str, int]]()
    for entry in _log(random.Random(seed), 40):
        found += fired(engine, shard, entry)
        saved.append(shard.delta() if saved else shard.snapshot())
        shard = engine.new_shard()
        shard.apply(saved)
    assert "unapproved-query" in rules(whole)
    assert sorted(found) == sorted(whole)


def test_ended_enforcement_stays_ended_after_a_restart(engine: Engine) -> None:
    shard = engine.new_shard()
    fired(engine, shard, enforce(learnt(PAST)))
    first = shard.snapshot()
    shard.delta()
    fired(engine, shard, enforce(Approved()))
    again = engine.new_shard()
    again.apply([first, shard.delta()])
    assert fired(engine, again, records([call(NEW)])) == []


def test_profile_beyond_the_room_of_a_shard_is_not_enforced_and_a_loss(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = engine.new_shard()
    monkeypatch.setattr(approved_calls, "MAX_APPROVED_KEYS", 40)
    fired(engine, shard, enforce(learnt(PAST[:100])))
    fired(engine, shard, enforce(learnt(PAST), app="other"))
    assert list(shard.approved.by_app) == ["shop"]
    assert shard.scalars.unreported == {"other": {UNENFORCED: 1}}


def test_entry_without_a_call_site_holds_at_any(engine: Engine) -> None:
    shard = engine.new_shard()
    (statement_held,) = learnt([call("SELECT oid FROM pg_type WHERE oid = to_regtype(?)")]).statements
    assert statement_held[0] == ""
    (site, host, until) = ("", "api.pay.example:443", 0)
    held = Approved(statements=(statement_held,), destinations=((site, host, until),))
    asked = call("SELECT oid FROM pg_type WHERE oid = to_regtype(?)", "other.py:place")
    found = fired(engine, shard, enforce(held), records([asked, destination("api.pay.example", "pay.py:charge", 1)]))
    assert found == []
