"""A dead detector reaches the receiver though it can raise no alert, and a dead notify is missed by its heartbeat."""

import dataclasses
import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from standardwebhooks.webhooks import Webhook

from backwatch.collector.settings import NotifySettings, SettingError
from backwatch.notify.self_watch import HEARTBEAT, RESUMED, SILENT, SelfWatch, make_heartbeat_output
from backwatch.notify.service import NotifyService
from backwatch.store import deliveries, tables
from backwatch.store.progress import PartitionProgress, read_progress, write_progress
from backwatch.store.transactions import reading
from tests.notify.conftest import SECRET, START_NS, Clock
from tests.services.commits import Owner, make_raised
from tests.services.http import receiver as temper
from tests.services.http.receiver import Receiver, receiver

Serving = Callable[..., NotifyService]
EVERY, URL = "BACKWATCH_NOTIFY_HEARTBEAT_S", "BACKWATCH_WEBHOOK_HEARTBEAT_URL"
ROW = PartitionProgress(
    consumer_group="backwatch-detector", topic="backwatch_calls", partition_id=0, next_offset=9, end_offset=9,
    advanced_ns=START_NS, updated_ns=START_NS, member="host:1",
)  # fmt: skip


def report(store: sa.Engine, clock: Clock, **more: object) -> None:
    """The detector reports its progress now."""
    write_progress(store, [dataclasses.replace(ROW, **{"advanced_ns": clock(), "updated_ns": clock(), **more})])  # type: ignore[arg-type]


def settings_for(one: Receiver, **more: object) -> NotifySettings:
    return NotifySettings(
        webhook_url=one.url,
        webhook_secret=SECRET,
        allow_private_hosts=("127.0.0.1",),
        **more,  # type: ignore[arg-type]
    )


def make_self_watch(store: sa.Engine, clock: Clock, one: Receiver, **more: object) -> SelfWatch:
    settings = settings_for(one, **more)
    return SelfWatch(store, {}, make_heartbeat_output(settings), settings, clock)


def types(one: Receiver) -> list[str]:
    return [json.loads(request.body)["type"] for request in one.requests]


def test_a_dead_detector_is_reported_once_over_the_outbox(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    with receiver(temper.status("503 Away")) as one:
        service = serving(one)
        first, second = (make_self_watch(store, clock, one) for _ in range(2))
        report(store, clock)
        clock.pass_s(61)
        for watch in (first, second, first, make_self_watch(store, clock, one)):
            watch.turn()
            clock.pass_s(5)
        service.run_once()
        assert len(one.requests) == 1  # not taken
        one.answer = temper.OK
        clock.pass_s(6)
        service.run_once()
        clock.pass_s(3_600)
        first.turn()
        service.run_once()
    body = json.loads(one.requests[-1].body)
    assert len(set(one.ids)) == 1
    assert len(one.requests) == 2
    assert (body["type"], body["data"]["kind"], body["data"]["level"]) == (SILENT, "detector-silent", "critical")
    assert body["data"]["message"] == "The detector has not reported since 22:13 UTC (1 min). New alerts cannot appear."


def test_a_detector_that_is_back_is_reported_and_its_next_death_too(
    store: sa.Engine, serving: Serving, clock: Clock
) -> None:
    with receiver() as one:
        service, watch = serving(one), make_self_watch(store, clock, one)
        report(store, clock)
        for well in (False, True, False):
            for _ in range(8):
                clock.pass_s(61)
                if well:
                    report(store, clock)
                watch.turn()
                service.run_once()
    assert types(one) == [SILENT, RESUMED, SILENT]
    data = [json.loads(request.body)["data"] for request in one.requests]
    incidents = [one["incident"] for one in data]
    assert incidents[0] == incidents[1] != incidents[2]
    assert [one["level"] for one in data] == ["critical", "informational", "critical"]
    with reading(store) as connection:
        lanes = sa.select(tables.delivery.c.level_rank).order_by(tables.delivery.c.created_ns)
        assert [*connection.scalars(lanes)] == [4, 0, 4]


@pytest.mark.parametrize("routed_before", [False, True], ids=["routed to it", "catches up"])
def test_highest_minimum_level_withholds_no_recovery(
    store: sa.Engine, serving: Serving, clock: Clock, *, routed_before: bool
) -> None:
    with receiver() as other, receiver() as one:
        watch = make_self_watch(store, clock, one)
        report(store, clock)
        if routed_before:
            serving(other).run_once()
        for well in (False, True):
            for _ in range(8):
                clock.pass_s(61)
                if well:
                    report(store, clock)
                watch.turn()
        if routed_before:
            serving(other).run_once()
        serving(one, minimum_level="critical").run_once()
    assert sorted(types(one)) == [RESUMED, SILENT]


def test_detector_that_starts_with_notify_has_time_to_report(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    with receiver() as one:
        service = serving(one)
        report(store, clock)
        clock.pass_s(3_600)  # all of it was down
        watch = make_self_watch(store, clock, one)
        for _ in range(11):
            watch.turn()
            clock.pass_s(5)
        report(store, clock)
        watch.turn()
        service.run_once()
        assert types(one) == []
        clock.pass_s(3_600)
        watch = make_self_watch(store, clock, one)
        for _ in range(13):  # and this time it stays silent
            watch.turn()
            clock.pass_s(5)
        service.run_once()
    assert types(one) == [SILENT]


def test_clock_that_was_put_back_hides_no_silent_detector(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    with receiver() as one:
        service = serving(one)
        clock.pass_s(86_400)  # wrong until the time server answers
        watch = make_self_watch(store, clock, one)
        clock.pass_s(-86_400)
        report(store, clock)
        for _ in range(26):
            clock.pass_s(5)
            watch.turn()
        service.run_once()
    assert types(one) == [SILENT]


def test_silence_that_a_restore_brings_back_is_another_incident(
    store: sa.Engine, serving: Serving, clock: Clock
) -> None:
    with receiver() as one:
        service = serving(one)
        report(store, clock)
        [before] = _progress(store)
        for _ in range(2):
            watches = [make_self_watch(store, clock, one) for _ in range(2)]
            clock.pass_s(61)
            for watch in watches:
                watch.turn()
            service.run_once()
            with store.begin() as connection:  # as the backup was
                connection.execute(sa.delete(tables.delivery))
                connection.execute(sa.delete(tables.event))
            write_progress(store, [before])
    assert types(one) == [SILENT, SILENT]
    assert one.ids[0] != one.ids[1]


def _progress(store: sa.Engine) -> list[PartitionProgress]:
    with reading(store) as connection:
        return read_progress(connection)


def test_a_detector_that_comes_and_goes_is_one_incident(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    with receiver() as one:
        service, watch = serving(one), make_self_watch(store, clock, one)
        for _ in range(10):
            report(store, clock)
            watch.turn()
            clock.pass_s(90)
            watch.turn()
            service.run_once()
    assert types(one) == [SILENT]


def test_partition_hidden_by_a_silent_detector_has_not_resumed(
    store: sa.Engine, serving: Serving, clock: Clock
) -> None:
    with receiver() as one:
        service, watch = serving(one), make_self_watch(store, clock, one)
        report(store, clock, partition_id=1)
        for alive in (True, False):  # one partition is not read; then nothing is
            for _ in range(80):
                clock.pass_s(5)
                if alive:
                    report(store, clock)
                watch.turn()
        service.run_once()
    assert types(one) == [SILENT, SILENT]


def test_next_incident_of_a_kind_lasts_until_it_was_well_for_long(
    store: sa.Engine, serving: Serving, clock: Clock
) -> None:
    with receiver() as one:
        service = serving(one)
        first, second = (make_self_watch(store, clock, one) for _ in range(2))
        report(store, clock)
        clock.pass_s(90)
        first.turn()
        report(store, clock)
        second.turn()  # sees it well from now on, and not how it ends
        for _ in range(61):
            clock.pass_s(5)
            report(store, clock)
            first.turn()
        clock.pass_s(90)
        first.turn()
        for _ in range(5):
            report(store, clock)
            second.turn()
            clock.pass_s(5)
        service.run_once()
    assert sorted(types(one)) == [RESUMED, SILENT, SILENT]


class OneTurn(threading.Event):
    """Ends a loop at its first wait."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True


def test_a_store_that_was_away_makes_no_detector_seem_silent(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    def rename(before: str, after: str) -> None:
        with store.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {before} RENAME TO {after}")

    with receiver() as one:
        service, watch = serving(one), make_self_watch(store, clock, one)
        report(store, clock)
        watch.run(OneTurn())
        rename("backwatch_partition_progress", "away")
        clock.pass_s(90)
        watch.run(OneTurn())
        rename("away", "backwatch_partition_progress")
        watch.run(OneTurn())  # the detector has not yet reported anew
        service.run_once()
        assert types(one) == []
        clock.pass_s(31)
        watch.run(OneTurn())  # and it never does
        service.run_once()
    assert types(one) == [SILENT]


def test_unavailable_store_is_logged_once_and_its_return_once(
    store: sa.Engine, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with receiver() as one, caplog.at_level("INFO"):
        watch = make_self_watch(store, clock, one)
        for before, after in (("backwatch_partition_progress", "away"), ("away", "backwatch_partition_progress")):
            with store.begin() as connection:
                connection.exec_driver_sql(f"ALTER TABLE {before} RENAME TO {after}")
            for _ in range(5):
                watch.run(OneTurn())
    waits, back = caplog.messages
    assert waits.startswith("backwatch: self-watch waits for the store: ")
    assert back == "backwatch: self-watch: the store is back"


def test_one_stalled_partition_is_reported_with_its_reason(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    with receiver() as one:
        service, watch = serving(one), make_self_watch(store, clock, one)
        clock.pass_s(90)
        report(store, clock)
        report(store, clock, partition_id=1, end_offset=19, advanced_ns=START_NS, reason="codec snappy")
        watch.turn()
        service.run_once()
    data = json.loads(one.requests[0].body)["data"]
    assert (data["kind"], data["reason"], data["member"]) == ("partition-stalled", "codec snappy", "host:1")


def test_a_store_without_any_detector_is_no_incident(store: sa.Engine, serving: Serving, clock: Clock) -> None:
    with receiver() as one:
        make_self_watch(store, clock, one).turn()
        serving(one).run_once()
    assert one.requests == []


def test_the_heartbeat_goes_out_while_all_is_well_and_only_then(store: sa.Engine, clock: Clock) -> None:
    with receiver() as one:
        watch = make_self_watch(store, clock, one, heartbeat_s=60)
        watch.turn()
        assert one.requests == []  # no detector yet
        sent: list[int] = []
        for well in (True, False, True):
            before = len(one.requests)
            for _ in range(60):
                clock.pass_s(5)
                if well:
                    report(store, clock)
                watch.turn()
            sent.append(len(one.requests) - before)
    assert sent == [5, 1, 5]  # for a minute nothing is known to be wrong
    assert set(types(one)) == {HEARTBEAT}
    assert len(set(one.ids)) == len(one.ids)
    request = one.requests[0]
    at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
    signature = Webhook(SECRET).sign(request.headers["webhook-id"], at, request.body.decode())
    assert request.headers["webhook-signature"] == signature


def test_a_heartbeat_that_was_not_taken_is_tried_again_soon(store: sa.Engine, clock: Clock) -> None:
    with receiver(temper.status("500 Oops")) as one:
        watch = make_self_watch(store, clock, one, heartbeat_s=60)
        report(store, clock)
        watch.turn()
        one.answer = temper.OK
        for _ in range(2):
            clock.pass_s(6)
            watch.turn()
    assert len(one.requests) == 2


@pytest.mark.parametrize("fault", ["no notifier serves it", "it is disabled", "events wait", "it takes nothing"])
def test_no_heartbeat_while_alerts_are_not_delivered(
    store: sa.Engine, serving: Serving, clock: Clock, fault: str
) -> None:
    with receiver() as one, receiver() as beats:
        service = serving(one)
        [worker] = service.workers
        settings = settings_for(one, heartbeat_s=60, heartbeat_url=beats.url)
        watch = SelfWatch(store, {worker.output.endpoint: 15}, make_heartbeat_output(settings), settings, clock)
        service.run_once()
        report(store, clock)
        watch.turn()
        assert len(beats.requests) == 1
        _break(store, service, one, clock, fault)
        report(store, clock)
        watch.turn()
        assert len(beats.requests) == 1


def _break(store: sa.Engine, service: NotifyService, one: Receiver, clock: Clock, fault: str) -> None:
    if fault == "no notifier serves it":
        clock.pass_s(300)
        return
    Owner(store).commit(make_raised(), now_ns=clock())
    if fault == "it is disabled":
        one.answer = temper.status("410 Gone")
        service.run_once()
    elif fault == "events wait":
        clock.pass_s(130)
        deliveries.keep_up(
            store, service.workers[0].output.endpoint, lambda _: b"{}", lowest=0, not_before_ns=0, now_ns=clock()
        )
    else:
        one.answer = temper.status("500 Oops")
        for wait_s in (0, 6, 400, 2_500, 10_000, 10):
            clock.pass_s(wait_s)
            service.run_once()
    clock.pass_s(70)
    if fault != "events wait":
        service.run_once()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"heartbeat_url": "https://x.example/"}, f"{EVERY}=0: {URL} is set"),
        ({"heartbeat_s": 60.0}, f"{EVERY}=60: set {URL}"),
        ({"heartbeat_s": 60.0, "heartbeat_url": "http://x.example/token"}, f"{URL}='http://x.example': only https"),
        ({"heartbeat_s": 60.0, "heartbeat_url": "https://x.example/"}, "BACKWATCH_WEBHOOK_SECRET=(secret): one secret"),
    ],
)  # fmt: skip
def test_a_heartbeat_that_cannot_work_is_refused_by_name(given: dict[str, object], expected: str) -> None:
    with pytest.raises(SettingError, match=re.escape(expected)):
        make_heartbeat_output(NotifySettings(**given))  # type: ignore[arg-type]
