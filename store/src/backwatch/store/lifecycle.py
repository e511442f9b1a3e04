"""The life of an alert, as the engine writes it: opened, escalated, reopened in a new episode, cleared. Pure.

People's columns are read here and never written: that a person closed an episode only decides whether the next firing
belongs to it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from backwatch.store.commit import ClearedAlert, Occurrence, RaisedAlert
from backwatch.store.ring import choose_kept, get_shown_values
from backwatch.store.text import level_rank

OPENED: Final = "alert.opened"
REOPENED: Final = "alert.reopened"
ESCALATED: Final = "alert.escalated"
CLEARED: Final = "alert.cleared"


@dataclass(slots=True, kw_only=True)
class Life:
    """An alert's engine-written state.

    Attributes:
        episode: 0 for a row that has never been raised.
        closed_episode: The last episode that a person closed.
        level: Of the episode: the highest that it came to.
        new: Occurrences to add, with their number and episode.
    """

    alert_id: str
    raised: bool = False
    episode: int = 0
    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    opened_ns: int = 0
    cleared_ns: int | None = None
    evidence: str = "{}"
    closed_episode: int = 0
    level: str = ""
    about: RaisedAlert | None = None
    new: list[tuple[int, int, Occurrence]] = field(default_factory=list[tuple[int, int, Occurrence]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of an alert that outputs deliver.

    Attributes:
        begin_ns: When the episode began: no two episodes of an alert share both this and ``episode``.
    """

    kind: str
    alert_id: str
    episode: int
    begin_ns: int
    time_ns: int


def apply(life: Life, steps: Iterable[RaisedAlert | ClearedAlert]) -> Iterator[Change]:
    """Applies what the engine found, in its order, and yields what became true of the alert."""
    for step in steps:
        change = _raise(life, step) if isinstance(step, RaisedAlert) else _clear(life, step)
        if change is not None:
            yield change
        if isinstance(step, RaisedAlert) and step.escalated_to and _rises(life, step.escalated_to):
            life.level = step.escalated_to
            yield Change(
                kind=ESCALATED, alert_id=life.alert_id, episode=life.episode, begin_ns=life.opened_ns,
                time_ns=step.escalated_ns,
            )  # fmt: skip


def _rises(life: Life, level: str) -> bool:
    return level_rank(level) > level_rank(life.level)


def _raise(life: Life, step: RaisedAlert) -> Change | None:
    opening = not life.raised or life.closed_episode >= life.episode
    if opening:
        life.episode += 1
        life.raised, life.opened_ns, life.cleared_ns = True, step.begin_ns or step.first_ns, None
    if opening or _rises(life, step.level):  # an open alert keeps its highest level
        life.level = step.level
    life.first_ns = step.first_ns if life.count == 0 else min(life.first_ns, step.first_ns)
    life.last_ns = max(life.last_ns, step.last_ns)
    life.count += step.count
    life.about = step
    start = life.count - len(step.occurrences) + 1
    life.new += [(start + index, life.episode, occurrence) for index, occurrence in enumerate(step.occurrences)]
    shows = [
        get_shown_values(occurrence.evidence, step.accepts) if episode == life.episode else None
        for _, episode, occurrence in life.new
    ]
    life.new = [life.new[at] for at in choose_kept(shows)]
    if not opening:
        return None
    kind = OPENED if life.episode == 1 else REOPENED
    return Change(
        kind=kind, alert_id=life.alert_id, episode=life.episode, begin_ns=life.opened_ns, time_ns=step.first_ns
    )


def _clear(life: Life, step: ClearedAlert) -> Change | None:
    if not life.raised:
        return None
    life.raised, life.cleared_ns = False, step.time_ns
    return Change(
        kind=CLEARED, alert_id=life.alert_id, episode=life.episode, begin_ns=life.opened_ns, time_ns=step.time_ns
    )
