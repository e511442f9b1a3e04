"""The life of an alert, against a model that is too simple to be wrong."""

import json
from dataclasses import dataclass

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backwatch.store import queries, tables
from backwatch.store.commit import RaisedAlert
from backwatch.store.decisions import decide
from backwatch.store.lifecycle import CLEARED, ESCALATED, OPENED, REOPENED, Life, apply
from backwatch.store.rules_meta import write_rules
from backwatch.store.transactions import reading
from backwatch.store.views import AlertDetail
from tests.services.commits import Owner, alert_id, make_cleared, make_raised

ID = alert_id("unusual-query", "k")
steps = st.lists(st.sampled_from(["raise", "clear", "close", "acknowledge", "reopen", "mute", "unmute"]), max_size=30)


@dataclass
class Model:
    """What a person would say of the alert."""

    raised: bool = False
    closed: bool = False
    acknowledged: bool = False
    muted: bool = False
    episode: int = 0
    count: int = 0

    def step(self, what: str) -> str | None:
        """The event that follows, if any."""
        if what == "raise":
            opening = not self.raised or self.closed
            self.count += 1
            if opening:
                self.episode, self.raised, self.closed, self.acknowledged = self.episode + 1, True, False, False
                return OPENED if self.episode == 1 else REOPENED
        elif what == "clear" and self.raised:
            self.raised = False
            return CLEARED
        elif what == "close":
            self.closed = True
        elif what == "acknowledge":
            self.acknowledged = True
        elif what == "reopen":
            self.closed = self.acknowledged = False
        elif what in ("mute", "unmute"):
            self.muted = what == "mute"
        return None

    @property
    def state(self) -> str:
        """As it is shown."""
        if self.muted:
            return "muted"
        if not self.raised or self.closed:
            return "closed"
        return "acknowledged" if self.acknowledged else "open"


@given(steps)
def test_the_engines_part_alone_follows_the_model(words: list[str]) -> None:
    model, life = Model(), Life(alert_id=ID)
    for at_ns, word in enumerate(words):
        expected = model.step(word)
        if word == "raise":
            got = [change.kind for change in apply(life, [make_raised(at_ns=at_ns)])]
        elif word == "clear":
            got = [change.kind for change in apply(life, [make_cleared(at_ns=at_ns)])]
        else:
            life.closed_episode = life.episode if model.closed else 0
            continue
        assert [expected] * (expected is not None) == got
    assert (model.raised, model.episode, model.count) == (life.raised, life.episode, life.count)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=steps, together=st.booleans())
def test_store_follows_the_model_for_any_commits(store: sa.Engine, words: list[str], together: bool) -> None:
    with store.begin() as connection:
        for table in reversed(tables.metadata.sorted_tables):
            if table.name != "entry_number":
                connection.execute(sa.delete(table))
    model, owner, events, batch = Model(), Owner(store), list[str](), []
    for at_ns, word in enumerate(words):
        if word not in ("raise", "clear") and model.episode == 0:
            continue
        event = model.step(word)
        events += [event] if event else []
        if word in ("raise", "clear"):
            batch.append(make_raised(at_ns=at_ns) if word == "raise" else make_cleared(at_ns=at_ns))
        if not together or word not in ("raise", "clear"):
            owner.commit(*batch)
            batch = []
        if word not in ("raise", "clear"):
            decide(store, ID, word, by="operator", now_ns=100 + at_ns)
    owner.commit(*batch)
    with store.connect() as connection:
        found = queries.get_alert(connection, ID, now_ns=1_000)
        kinds = connection.scalars(sa.select(tables.event.c.kind)).all()
    assert sorted(events) == sorted(kinds)
    if model.episode:
        assert isinstance(found, AlertDetail)
        assert (model.state, model.episode, model.count) == (found.alert.state, found.alert.episode, found.alert.count)
        assert [*range(model.episode, 0, -1)] == [one.number for one in found.episodes]
    else:
        assert found is None


def _escalated(at_ns: int, to: str = "critical") -> RaisedAlert:
    return make_raised(at_ns=at_ns, escalated_to=to, escalated_ns=at_ns)


def test_an_escalation_is_an_event_of_its_own_once_in_an_episode(store: sa.Engine) -> None:
    owner = Owner(store)
    owner.commit(make_raised(at_ns=1_000))
    owner.commit(_escalated(2_000))
    owner.commit(_escalated(3_000), make_raised(at_ns=3_500))
    with reading(store) as connection:
        rows = connection.execute(sa.select(tables.event).order_by(tables.event.c.level_rank)).mappings().all()
        alert = queries.get_alert(connection, ID)
    assert [(row["kind"], row["level_rank"]) for row in rows] == [(OPENED, 3), (ESCALATED, 4)]
    assert alert is not None
    assert (alert.alert.level, alert.alert.episode, alert.alert.count) == ("critical", 1, 4)
    assert '"level":"critical"' in rows[1]["body"]


def test_opening_and_escalation_in_one_commit_are_the_same_two_events(store: sa.Engine) -> None:
    Owner(store).commit(_escalated(2_000))
    with reading(store) as connection:
        rows = connection.execute(sa.select(tables.event).order_by(tables.event.c.level_rank)).mappings().all()
    assert [(row["kind"], row["level_rank"]) for row in rows] == [(OPENED, 3), (ESCALATED, 4)]


def test_the_next_episode_begins_at_the_rules_own_level(store: sa.Engine) -> None:
    owner = Owner(store)
    owner.commit(_escalated(1_000), make_cleared(at_ns=2_000))
    owner.commit(make_raised(at_ns=3_000))
    with reading(store) as connection:
        alert = queries.get_alert(connection, ID)
    assert alert is not None
    assert (alert.alert.level, alert.alert.episode) == ("high", 2)
    owner.commit(_escalated(4_000))
    with reading(store) as connection:
        events = connection.execute(sa.select(tables.event.c.kind, tables.event.c.episode)).all()
    assert sorted(map(tuple, events)) == [
        (CLEARED, 1), (ESCALATED, 1), (ESCALATED, 2), (OPENED, 1), (REOPENED, 2),
    ]  # fmt: skip


def test_an_escalated_alert_has_title_and_advice_of_the_rule_that_raised_it(store: sa.Engine) -> None:
    about = {"tags": [], "falsepositives": [], "references": []}
    write_rules(store, [
        {"name": "unusual-query", "title": "A Query", "level": "high", "remediation": "look", **about},
        {"name": "worse", "title": "Worse", "level": "critical", "remediation": "run", "escalates": "unusual-query",
         **about},
        {"name": "other", "title": "Other", "level": "critical", "escalates": "plaintext-session", **about},
    ])  # fmt: skip
    Owner(store).commit(_escalated(2_000))
    with reading(store) as connection:
        bodies = connection.execute(sa.select(tables.event.c.body).order_by(tables.event.c.level_rank)).scalars().all()
        alert = queries.get_alert(connection, ID)
    assert [(json.loads(body)["data"]["title"], json.loads(body)["data"]["remediation"]) for body in bodies] == [
        ("A Query", "look"), ("Worse", "run"),
    ]  # fmt: skip
    assert alert is not None
    assert alert.escalated_by is not None
    assert (alert.alert.rule, alert.escalated_by.name) == ("unusual-query", "worse")
