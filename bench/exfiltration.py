"""Eight ways out of a shop that works as usual: the first alert of each, and how much had left by then.

    make bench NAME=exfiltration        ARGS="--days 7 --learn 15"

The engine learns from ``--learn`` days of honest work. From that state each way is played for ``--days`` days of event
time beside the honest work, or until the first alert of medium or more; the first row is honest work alone. What left
is what the attack's own calls read, beyond the baseline by definition.
"""

import argparse
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Findings, Firings
from backwatch.detector.engine.log_entries import StreamRecords
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.step import Engine, EngineConfig
from bench import exfiltration_shop as shop
from bench import rounds

LOUD = ("medium", "high", "critical")
BATCH_MINUTES = 60
Pages = Sequence[Sequence[tuple[str, shop.Facts]]]


@dataclass(slots=True)
class Outcome:
    """What became of one way out.

    Attributes:
        known: Ids of the alerts that are left out: those of honest work while the engine learnt, and those noted.
        alerts: Rule, level and minute of the first firing of each alert.
        rows, size_bytes: What had left by the first alert of medium or more, or in all.
    """

    known: set[str] = field(default_factory=set[str])
    alerts: list[tuple[str, str, float]] = field(default_factory=list[tuple[str, str, float]])
    rows: int = 0
    size_bytes: int = 0

    def first_loud(self) -> tuple[str, str, float] | None:
        """Return the first alert of medium or more."""
        return next((alert for alert in self.alerts if alert[1] in LOUD), None)


def _pages(count: int, *page: tuple[str, shop.Facts]) -> Pages:
    return [page] * count


def loop_of_fifty(_minute: int) -> Pages:
    """Call the list of products 39 times a minute."""
    return _pages(39, ("postgresql", shop.sql(shop.LIST, "views.py:products", 50)))


def rows_below_the_bound(_minute: int) -> Pages:
    """Read 499 wide rows four times a minute."""
    return _pages(4, ("postgresql", shop.sql(shop.ORDERS, "views.py:account", 499, 480)))


def large_select(minute: int) -> Pages:
    """Read a whole table once an hour."""
    return _pages(1 if minute % 60 == 17 else 0, ("postgresql", shop.sql(shop.ORDERS, "views.py:account", 200_000)))


def id_walk(_minute: int) -> Pages:
    """Ask for customer after customer, 300 a minute."""
    return _pages(290, ("postgresql", shop.sql(shop.CUSTOMER, "views.py:account", 1)))


def offset_walk(_minute: int) -> Pages:
    """Go through all pages of the search, twelve a minute."""
    return _pages(12, ("postgresql", shop.sql(shop.SEARCH, "views.py:search", 20)))


def upload_to_new_host(_minute: int) -> Pages:
    """Send ten megabytes to a host that the app never used, ten times a minute."""
    return _pages(10, ("new host", shop.command("POST /up", "views.py:account", 10_000_000, 200)))


def read_and_mail(minute: int) -> Pages:
    """Once an hour, read 450 orders and mail them, in one request."""
    if minute % 60 != 23:
        return ()
    return _pages(
        1, ("postgresql", shop.sql(shop.ORDERS, "views.py:account", 450, 400)),
        ("mail", shop.command("MAIL FROM ? RCPT TO customers.example", "mail.py:send", 240_000, 300)),
    )  # fmt: skip


def drip_through_a_queue(_minute: int) -> Pages:
    """Read 15 customers a minute, one by one, and publish them on a topic of the app."""
    return _pages(
        15, ("postgresql", shop.sql(shop.CUSTOMER, "views.py:account", 1)),
        ("kafka", shop.command("publish orders", "events.py:publish", 400, 40)),
    )  # fmt: skip


WAYS: dict[str, Callable[[int], Pages]] = {
    "honest work alone": lambda _minute: (),
    "known LIMIT 50, 39 times a minute": loop_of_fifty,
    "499 rows, 4 times a minute": rows_below_the_bound,
    "whole table, once an hour": large_select,
    "id walk, 290 a minute": id_walk,
    "offset walk, 12 pages a minute": offset_walk,
    "upload to a new host, 100 MB a minute": upload_to_new_host,
    "read and mail in one request, hourly": read_and_mail,
    "drip through a queue, 15 a minute": drip_through_a_queue,
}


class Player:
    """Feeds minutes to a shard of an engine."""

    def __init__(self, engine: Engine, shard: Shard) -> None:
        self._engine, self._shard = engine, shard

    def play(self, minutes: range, way: Callable[[int], Pages], outcome: Outcome, *, stop: bool) -> None:
        """Play these minutes; return after the first alert of medium or more if ``stop``."""
        for begin in range(minutes.start, minutes.stop, BATCH_MINUTES):
            calls: list[list[shop.Call]] = []
            stolen: list[tuple[int, int, int]] = []
            for minute in range(begin, min(begin + BATCH_MINUTES, minutes.stop)):
                source, of_minute = random.Random(f"way {minute}"), shop.work(minute, 1)
                for page in way(minute):
                    made = shop.in_trace(minute, source, page)
                    of_minute += made
                    stolen += [_taken(call) for call in made[-1:] if call.session == "new host"]
                    stolen += [_taken(call) for call in made[:1] if call.session == "postgresql"]
                calls.append(sorted(of_minute, key=lambda call: call.end_ns))
            findings = self._step([minute for minute in calls if minute])
            _note(findings, minutes.start, outcome)
            loud = outcome.first_loud()
            until_ns = shop.START_NS + int((minutes.start + loud[2]) * shop.MINUTE_NS) if loud and stop else 1 << 62
            outcome.rows += sum(rows for at_ns, rows, _ in stolen if at_ns <= until_ns)
            outcome.size_bytes += sum(size for at_ns, _, size in stolen if at_ns <= until_ns)
            if loud and stop:
                return

    def _step(self, minutes: Sequence[Sequence[shop.Call]]) -> Findings:
        source = random.Random(minutes[0][0].end_ns)
        values = [shop.encode(calls, source) for calls in minutes]
        return self._engine.step(
            self._shard,
            StreamRecords(
                values=values,
                appended_ns=np.array([calls[-1].end_ns + shop.SECOND_NS for calls in minutes], np.int64),
                backfill=np.ones(len(values), np.bool_),
                offsets=np.arange(len(values), dtype=np.int64),
            ),
        )


def _taken(call: shop.Call) -> tuple[int, int, int]:
    facts = call.facts
    rows = int(facts.get("db.response.returned_rows", 0))
    size = facts["backwatch.bytes.received" if rows else "backwatch.bytes.sent"]
    return call.end_ns, rows, int(size)


def _note(findings: Findings, first_minute: int, outcome: Outcome) -> None:
    new: list[tuple[str, str, float]] = []
    for event in findings.events:
        if isinstance(event, Firings) and event.alert_id not in outcome.known:
            outcome.known.add(event.alert_id)
            minute = (int(event.times[0]) - shop.START_NS) / shop.MINUTE_NS - first_minute
            new.append((event.rule.name, event.rule.level, minute))
    outcome.alerts += sorted(new, key=lambda alert: alert[2])


def main() -> None:
    """Play every way and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=7, help="days that each way is played")
    parser.add_argument("--learn", type=int, default=15, help="days of honest work before")
    parser.add_argument("--way", action="append", choices=list(WAYS), help="a way instead of all")
    options = parser.parse_args()
    print(rounds.machine("numba"))
    engine = make_engine(EngineConfig(key=b"a key of 16 byte"))
    learnt, shard = Outcome(), engine.new_shard()
    attack = options.learn * shop.DAY_MINUTES + 9 * 60  # at nine in the morning
    Player(engine, shard).play(range(attack), WAYS["honest work alone"], learnt, stop=False)
    state = shard.snapshot()
    print("learning:", ", ".join(f"{rule} ({level}, day {minute / 1440:.1f})" for rule, level, minute in learnt.alerts))
    figures: dict[str, dict[str, float | str]] = {}
    print(f"{'way':40} {'first alert':34} {'minutes':>8} {'rows':>9} {'MB':>7}")
    for name in options.way or WAYS:
        outcome, copy = Outcome(known=set(learnt.known)), engine.new_shard()
        copy.apply([state])
        Player(engine, copy).play(
            range(attack, attack + options.days * shop.DAY_MINUTES),
            WAYS[name],
            outcome,
            stop=name != "honest work alone",
        )
        rule, level, minute = outcome.first_loud() or ("none", "", float(options.days * shop.DAY_MINUTES))
        megabytes = outcome.size_bytes / 1e6
        print(f"{name:40} {f'{rule} {level}':34} {minute:8.1f} {outcome.rows:9d} {megabytes:7.1f}", flush=True)
        quiet = [f"{other} ({rank})" for other, rank, at in outcome.alerts if at < minute]
        if quiet:
            print(" " * 40, "before it:", ", ".join(quiet))
        figures[name] = {
            "rule": rule,
            "level": level,
            "minutes": round(minute, 1),
            "rows": outcome.rows,
            "mb": megabytes,
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
