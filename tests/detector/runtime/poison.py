"""A stream with poisonous records, the faults that they cause, and what the store holds after it."""

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Record
from backwatch.detector.columns.prepared import Columns
from backwatch.detector.engine import intake, step
from backwatch.detector.engine.call_verdicts import CallVerdicts, RunVerdict
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime.pending import PendingCommit
from backwatch.detector.runtime.service import DetectorService
from backwatch.store import tables
from backwatch.store.transactions import reading
from tests.detector.runtime.test_service_entries import Log
from tests.detector.streams import SAFE, Call, encode, eventful, records, statement

BAD = b"poisonous-statement"


def poison(at_ns: int) -> tuple[bytes, int, bool]:
    call = Call(at_ns, SAFE, statement(f"SELECT ? FROM {BAD.decode()}"))
    return encode([call]), at_ns + 10**9, True


def history(*places: int, count: int = 160) -> tuple[list[tuple[bytes, int, bool]], list[tuple[bytes, int, bool]]]:
    """Return an eventful stream without and with poison before these offsets."""
    good = records(eventful(seed=3, count=count), per_record=4)
    bad = list(good)
    for place in sorted(places, reverse=True):
        bad.insert(place, poison(good[place][1] - 10**9))
    return good, bad


class Recorded(Log):
    """A stream of these records."""

    def __init__(self, found: Sequence[tuple[bytes, int, bool]]) -> None:
        super().__init__()
        self.records = [
            Record(partition=0, offset=i, value=value, appended_ns=appended, backfill=backfill)
            for i, (value, appended, backfill) in enumerate(found)
        ]


def service(store: sa.Engine, engine: Engine, poll_records: int = 50) -> DetectorService:
    settings = DetectorSettings(commit_interval_s=0, poll_records=poll_records)
    return DetectorService(StreamSettings(partitions=1), store, settings, lambda: 1, engine)


def drain(running: DetectorService, log: Log, store: sa.Engine) -> None:
    """Turn until all is committed. A stall fails the test."""
    for _ in range(400):
        running.turn(log)
        with reading(store) as connection:
            if connection.scalar(sa.select(tables.shard.c.next_offset)) == len(log.records):
                return
    raise AssertionError("the shard stands still")


def results(store: sa.Engine) -> dict[str, list[Any]]:
    """Return all findings, without those on the loss itself and without offsets."""
    alert, event, rollup, resource = tables.alert, tables.event, tables.rollup, tables.resource
    about_calls = alert.c.resource_id != ""
    of_calls = event.c.alert_id.in_(sa.select(alert.c.id).where(about_calls))
    queries = {
        "alerts": sa.select(alert).where(about_calls).order_by(alert.c.id),
        # Not the body: an alert's count in it is as of the commit, and commits fall elsewhere.
        "events": sa.select(event.c.id, event.c.kind).where(of_calls).order_by(event.c.id),
        "rollups": sa.select(rollup).order_by(*rollup.primary_key.columns),
        "resources": sa.select(resource).order_by(resource.c.id),
    }
    with reading(store) as connection:
        return {name: [tuple(row) for row in connection.execute(query)] for name, query in queries.items()}


def quarantine(store: sa.Engine) -> list[tuple[int, str, bytes]]:
    table = tables.quarantine
    with reading(store) as connection:
        query = sa.select(table.c.record_offset, table.c.reason, table.c.value).order_by(table.c.record_offset)
        return [(row.record_offset, row.reason, bytes(row.value)) for row in connection.execute(query)]


def losses(store: sa.Engine) -> dict[str, int]:
    table = tables.counter
    with reading(store) as connection:
        rows = connection.execute(sa.select(table.c.name, table.c.value).where(table.c.kind == "loss"))
        return {row.name: row.value for row in rows}


def loss_alerts(store: sa.Engine) -> list[str]:
    with reading(store) as connection:
        return list(connection.scalars(sa.select(tables.alert.c.key).where(tables.alert.c.resource_id == "")))


class Broken:
    """Faults that one record causes, each in another stage."""

    @staticmethod
    def decode(patch: pytest.MonkeyPatch, error: BaseException) -> None:
        original = vars(intake)["decode"]

        def decode(values: Sequence[bytes], appended: Any = None) -> Any:
            if any(BAD in value for value in values):
                raise error
            return original(values, appended)

        patch.setitem(vars(intake), "decode", decode)

    @staticmethod
    def columns(patch: pytest.MonkeyPatch, error: BaseException) -> None:
        _before(patch, Columns, "_family", 1, error)

    @staticmethod
    def rules(patch: pytest.MonkeyPatch, error: BaseException) -> None:
        _before(patch, CallVerdicts, "begin", 1, error)

    @staticmethod
    def verdicts(patch: pytest.MonkeyPatch, error: BaseException) -> None:
        """Raise at the end of a run, after all other changes of the shard."""
        original = RunVerdict.judge

        def judge(self: Any, *given: Any) -> None:
            original(self, *given)
            if BAD in self._prepared.decoded.buffer.tobytes():
                raise error

        patch.setattr(RunVerdict, "judge", judge)

    @staticmethod
    def pending(patch: pytest.MonkeyPatch, error: BaseException) -> None:
        Broken.mark(patch)
        original = PendingCommit.add

        def add(self: PendingCommit, findings: Any) -> set[str]:
            fired = original(self, findings)
            if any("poisonous" in one.facts for one in findings.seen):
                raise error
            return fired

        patch.setattr(PendingCommit, "add", add)

    @staticmethod
    def mark(patch: pytest.MonkeyPatch) -> None:
        """Break nothing. Add a fact that marks every effect of the record."""
        original_note = step._note_seen  # pyright: ignore[reportPrivateUsage]

        def note(prepared: Any, findings: Any, *more: Any) -> None:
            original_note(prepared, findings, *more)
            if BAD in prepared.decoded.buffer.tobytes():
                findings.seen[-1].facts["poisonous"] = True

        patch.setattr(step, "_note_seen", note)


def _before(patch: pytest.MonkeyPatch, kind: type, name: str, at: int, error: BaseException) -> None:
    original = getattr(kind, name)

    def broken(*given: Any) -> Any:
        if BAD in given[at].decoded.buffer.tobytes():
            raise error
        return original(*given)

    patch.setattr(kind, name, broken)
