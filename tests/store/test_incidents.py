"""What counts as wrong with the chain: the worst partition, never the best."""

import dataclasses
import json
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa

from backwatch.store import deliveries
from backwatch.store.monitoring import incidents
from backwatch.store.monitoring.deliveries import find_served_incidents
from backwatch.store.monitoring.endpoint import store_check
from backwatch.store.monitoring.incidents import find_delivery_incidents, find_incidents
from backwatch.store.monitoring.metrics import Figures
from backwatch.store.progress import PartitionProgress, write_progress
from backwatch.store.transactions import reading
from backwatch.store.views import ShardRow
from tests.services.commits import Owner, make_raised

SECOND = 10**9
NOW = 1_700_000_000 * SECOND
GOOD = PartitionProgress(
    consumer_group="backwatch-detector", topic="backwatch_calls", partition_id=0, next_offset=9, end_offset=9,
    advanced_ns=NOW - 3 * SECOND, updated_ns=NOW - 3 * SECOND, member="host:1",
)  # fmt: skip
SPANS = dataclasses.replace(GOOD, consumer_group="backwatch-router", topic="otlp_spans")


def old(row: PartitionProgress, seconds: int, **more: object) -> PartitionProgress:
    return dataclasses.replace(row, updated_ns=NOW - seconds * SECOND, advanced_ns=NOW - seconds * SECOND, **more)


def shard(number: int, seconds: int, watermark_ns: int = 1) -> ShardRow:
    return ShardRow(
        id=number, seq=1, next_offset=1, watermark_ns=watermark_ns, entry_id=0, updated_ns=NOW - seconds * SECOND
    )


def kinds(*rows: PartitionProgress, shards: tuple[ShardRow, ...] = ()) -> list[str]:
    return [one.kind for one in find_incidents(rows, shards, NOW)]


def test_partitions_that_advance_or_have_no_lag_are_no_incident() -> None:
    idle = dataclasses.replace(GOOD, partition_id=1, advanced_ns=NOW - 10_000 * SECOND)
    busy = dataclasses.replace(GOOD, partition_id=2, end_offset=5_000_000)
    assert kinds(GOOD, idle, busy, SPANS) == []


def test_one_stalled_partition_among_healthy_ones_is_an_incident() -> None:
    others = [dataclasses.replace(GOOD, partition_id=number) for number in range(1, 8)]
    stalled = dataclasses.replace(GOOD, end_offset=129, advanced_ns=NOW - 250 * SECOND, reason="codec snappy")
    [found] = find_incidents([*others, stalled], [], NOW)
    assert (found.kind, found.reason) == (incidents.PARTITION_STALLED, "codec snappy")
    assert found.message == (
        "Partition 0 of backwatch_calls has not advanced since 22:09 UTC (4 min), with 120 records to read."
    )


def test_a_reader_that_hangs_without_known_lag_is_an_incident() -> None:
    hung = dataclasses.replace(GOOD, advanced_ns=NOW - 61 * SECOND, reason="the reading loop has been polling for 61 s")
    [found] = find_incidents([hung], [], NOW)
    assert found.message == "Partition 0 of backwatch_calls has not advanced since 22:12 UTC (1 min)."


def test_partitions_with_one_fault_are_one_incident() -> None:
    rows = [
        dataclasses.replace(
            GOOD, partition_id=number, end_offset=19, advanced_ns=NOW - (70 + number) * SECOND, reason="away"
        )
        for number in range(12)
    ]
    [found] = find_incidents(rows, [], NOW)
    assert found.since_ns == NOW - 81 * SECOND
    assert found.message == (
        "Partitions 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and others of backwatch_calls have not advanced since 22:11 UTC "
        "(1 min), with 120 records to read."
    )


def test_one_partition_that_no_member_reports_is_an_incident() -> None:
    assert kinds(GOOD, old(GOOD, 61, partition_id=1)) == [incidents.PARTITION_UNREAD]
    assert kinds(GOOD, old(GOOD, 59, partition_id=1)) == []


def test_detectors_that_end_together_leave_one_incident() -> None:
    assert kinds(old(GOOD, 57), old(GOOD, 61, partition_id=1)) == []
    assert kinds(old(GOOD, 61), old(GOOD, 65, partition_id=1)) == [incidents.DETECTOR_SILENT]
    assert kinds(old(GOOD, 45), old(GOOD, 61, partition_id=1)) == [incidents.PARTITION_UNREAD]


def test_a_detector_without_a_report_for_a_minute_is_silent() -> None:
    [found] = find_incidents([old(GOOD, 240), old(GOOD, 300, partition_id=1)], [], NOW)
    assert found.kind == incidents.DETECTOR_SILENT
    assert found.message == "The detector has not reported since 22:09 UTC (4 min). New alerts cannot appear."


def test_a_store_that_no_detector_reported_to_is_an_incident() -> None:
    [found] = find_incidents([], [], NOW)
    assert (found.kind, found.since_ns) == (incidents.DETECTOR_SILENT, 0)


def test_the_oldest_shard_without_progress_decides_and_not_the_newest() -> None:
    assert kinds(shards=(shard(0, 1), shard(1, 90))) == [incidents.PARTITION_UNREAD]
    assert kinds(shards=(shard(0, 1), shard(1, 2))) == []
    assert kinds(shards=(shard(0, 70), shard(1, 90))) == [incidents.DETECTOR_SILENT]


def test_a_shard_that_has_judged_no_call_yet_is_no_incident() -> None:
    assert kinds(shards=(shard(0, 900, watermark_ns=0),)) == []


def test_a_shard_whose_partition_reports_is_judged_by_its_progress() -> None:
    assert kinds(GOOD, shards=(shard(0, 900),)) == []


def test_a_silent_router_is_an_incident_until_it_was_removed_on_purpose() -> None:
    assert kinds(GOOD, old(SPANS, 61)) == [incidents.ROUTER_SILENT]
    assert kinds(GOOD, old(SPANS, 8 * 86_400)) == []


def test_a_renamed_group_leaves_no_incident_behind() -> None:
    assert kinds(GOOD, old(GOOD, 900, consumer_group="older")) == []


def test_the_worst_incident_comes_first() -> None:
    stalled = dataclasses.replace(GOOD, end_offset=129, advanced_ns=NOW - 250 * SECOND)
    found = kinds(old(SPANS, 61), stalled, old(GOOD, 100, partition_id=1))
    assert found == [incidents.PARTITION_UNREAD, incidents.PARTITION_STALLED, incidents.ROUTER_SILENT]


ENDPOINT = "standard_webhook a.example 0a"


@pytest.fixture
def critical(store: sa.Engine) -> sa.Engine:
    """A store with three critical deliveries for an endpoint, due at ``NOW``."""
    Owner(store).commit(*(make_raised(str(i), level="critical") for i in range(3)), now_ns=NOW)
    deliveries.register(store, ENDPOINT, 0)
    deliveries.route(store, lambda _: {ENDPOINT: b"{}"}, now_ns=NOW)
    return store


def delivery_kinds(store: sa.Engine, after_s: int) -> list[str]:
    """Kinds of incidents so long after ``NOW``, with the worker that is not critical at its work."""
    now_ns = NOW + after_s * SECOND
    deliveries.keep_up(store, ENDPOINT, lambda _: b"", lowest=0, not_before_ns=0, now_ns=now_ns)
    with reading(store) as connection:
        return [one.kind for one in find_delivery_incidents(connection, {ENDPOINT: 15.0}, now_ns)]


def lease(store: sa.Engine, after_s: int, *, critical: bool = True) -> deliveries.Leased:
    leased = deliveries.lease(store, ENDPOINT, now_ns=NOW + after_s * SECOND, lease_ns=90 * SECOND, critical=critical)
    assert leased is not None
    return leased


def test_critical_deliveries_that_no_worker_takes_are_an_incident(critical: sa.Engine) -> None:
    assert delivery_kinds(critical, 59) == []
    assert delivery_kinds(critical, 61) == [incidents.CRITICAL_UNSENT]
    with reading(critical) as connection:
        [found] = find_delivery_incidents(connection, {ENDPOINT: 15.0}, NOW + 61 * SECOND)
    assert (found.since_ns, found.message) == (
        NOW, f"No delivery worker sends the critical alerts for the endpoint {ENDPOINT} since 22:13 UTC (1 min)."
    )  # fmt: skip


def test_a_critical_attempt_whose_lease_ran_out_is_an_incident(critical: sa.Engine) -> None:
    lease(critical, 30)
    assert delivery_kinds(critical, 119) == []
    assert delivery_kinds(critical, 121) == [incidents.CRITICAL_UNSENT]


def test_a_long_critical_queue_that_moves_is_no_incident(critical: sa.Engine) -> None:
    leased = lease(critical, 100)
    assert delivery_kinds(critical, 110) == []
    deliveries.done(critical, leased, deliveries.DELIVERED, outcome="", now_ns=NOW + 115 * SECOND)
    assert delivery_kinds(critical, 116) == []
    assert delivery_kinds(critical, 176) == [incidents.CRITICAL_UNSENT]


def test_a_pause_or_a_disabled_endpoint_is_no_unsent_critical_alert(critical: sa.Engine) -> None:
    deliveries.pause(critical, ENDPOINT, NOW + 600 * SECOND, critical=True)
    assert delivery_kinds(critical, 655) == []
    assert delivery_kinds(critical, 661) == [incidents.CRITICAL_UNSENT]
    deliveries.disable(critical, lease(critical, 662), now_ns=NOW + 662 * SECOND, reason="410")
    assert delivery_kinds(critical, 800) == [incidents.ENDPOINT_DISABLED]


def test_critical_lane_deferred_for_ten_minutes_is_an_incident(critical: sa.Engine) -> None:
    day_ns = NOW + 86_400 * SECOND
    deliveries.retry_later(critical, lease(critical, 1), next_ns=day_ns, outcome="HTTP 429")
    deliveries.pause(critical, ENDPOINT, day_ns, critical=True)
    assert delivery_kinds(critical, 590) == []
    assert delivery_kinds(critical, 602) == [incidents.CRITICAL_UNSENT]
    with reading(critical) as connection:
        [found] = find_delivery_incidents(connection, {ENDPOINT: 15.0}, NOW + 602 * SECOND)
    assert found.message == (
        f"The endpoint {ENDPOINT} has taken no critical alerts since 22:13 UTC (10 min): "
        "no attempt before 2023-11-15 22:13 UTC."
    )


def test_deferred_lane_is_an_incident_beside_a_working_one(store: sa.Engine) -> None:
    Owner(store).commit(make_raised("1", level="critical"), make_raised("2", level="high"), now_ns=NOW)
    deliveries.register(store, ENDPOINT, 0)
    deliveries.route(store, lambda _: {ENDPOINT: b"{}"}, now_ns=NOW)
    deliveries.retry_later(store, lease(store, 1, critical=False), next_ns=NOW + 86_400 * SECOND, outcome="HTTP 503")
    deliveries.pause(store, ENDPOINT, NOW + 86_400 * SECOND, critical=False)
    deliveries.done(store, lease(store, 590), deliveries.DELIVERED, outcome="", now_ns=NOW + 590 * SECOND)
    assert delivery_kinds(store, 602) == [incidents.ENDPOINT_FAILING]


def test_ended_notify_is_an_incident_to_parts_without_endpoints(critical: sa.Engine) -> None:
    deliveries.keep_up(critical, ENDPOINT, lambda _: b"", lowest=0, not_before_ns=0, now_ns=NOW)
    deliveries.register(critical, "an older url", 0)

    def kinds(after_s: int) -> list[str]:
        with reading(critical) as connection:
            return [one.kind for one in find_served_incidents(connection, NOW + after_s * SECOND)]

    assert kinds(59) == []
    assert kinds(181) == [incidents.NOTIFY_SILENT]
    assert kinds(7 * 86_400 + 1) == []


@pytest.mark.parametrize(
    ("registered_s", "expected"), [(0, [incidents.NOTIFY_SILENT]), (3_600, []), (3_550, [])],
    ids=["a notify of its own", "the url was changed", "the url was changed while the old notify ran"],
)  # fmt: skip
def test_endpoint_without_its_notify_is_an_incident_beside_a_served_one(
    store: sa.Engine, registered_s: int, expected: list[str]
) -> None:
    def serve(endpoint: str, after_s: int) -> None:
        deliveries.keep_up(store, endpoint, lambda _: b"", lowest=0, not_before_ns=0, now_ns=NOW + after_s * SECOND)

    def kinds(after_s: int) -> list[str]:
        with reading(store) as connection:
            return [one.kind for one in find_served_incidents(connection, NOW + after_s * SECOND)]

    deliveries.register(store, ENDPOINT, NOW, now_ns=NOW)
    deliveries.register(store, "other", NOW, now_ns=NOW + registered_s * SECOND)
    deliveries.register(store, "other", NOW, now_ns=NOW + 7_200 * SECOND)
    serve(ENDPOINT, 3_600)
    serve("other", 3_610)
    assert kinds(3_620) == []
    serve("other", 7_200)
    assert kinds(7_210) == expected
    serve("other", 8 * 86_400)
    assert kinds(8 * 86_400) == []


def test_status_and_metrics_show_a_notify_that_does_not_run(critical: sa.Engine, store_url: str) -> None:
    now_ns = time.time_ns()
    Owner(critical).commit(now_ns=now_ns, watermark_ns=1)
    deliveries.keep_up(critical, ENDPOINT, lambda _: b"", lowest=0, not_before_ns=0, now_ns=now_ns - 300 * SECOND)
    done = status(store_url, "--check")
    assert done.returncode == 3
    assert f"NOT WORKING: No delivery worker has served the endpoint {ENDPOINT} since " in done.stdout
    text = Figures("dashboard", lambda: critical, [], store_check, lambda: now_ns).response().body.decode()
    assert 'backwatch_incidents{kind="notify-silent"} 1.0' in text


def status(url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "backwatch.collector", "db", "status", "--store-url", url, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_status_shows_the_worst_partition_first_and_its_exit_code(store: sa.Engine, store_url: str) -> None:
    now_ns = time.time_ns()
    fresh = dataclasses.replace(GOOD, updated_ns=now_ns, advanced_ns=now_ns)
    write_progress(store, [fresh, dataclasses.replace(fresh, partition_id=1)])
    good = status(store_url, "--check")
    assert (good.returncode, good.stdout.count("NOT WORKING")) == (0, 0)
    stalled = dataclasses.replace(
        fresh, partition_id=1, end_offset=29, advanced_ns=now_ns - 90 * SECOND, reason="a\x1b[2Jb"
    )
    write_progress(store, [stalled])
    assert status(store_url).returncode == 0
    bad = status(store_url, "--check")
    assert bad.returncode == 3
    assert "\nNOT WORKING: Partition 1 of backwatch_calls has not advanced since " in bad.stdout
    assert "group backwatch-detector: lag 20, offset 9 of 29, advanced " in bad.stdout
    assert "\x1b" not in bad.stdout
    document = json.loads(status(store_url, "--json").stdout)
    assert [one["partition_id"] for one in document["progress"]] == [1, 0]
    assert (document["progress"][0]["lag"], document["progress"][0]["member"]) == (20, "host:1")
    assert [one["kind"] for one in document["incidents"]] == ["partition-stalled"]


def test_a_dead_detector_beside_open_alerts_fails_the_check(store: sa.Engine, store_url: str) -> None:
    Owner(store).commit(now_ns=time.time_ns() - 300 * SECOND, watermark_ns=1)
    done = status(store_url, "--check")
    assert done.returncode == 3
    assert "NOT WORKING: The detector has not reported since " in done.stdout


@pytest.mark.parametrize(("seconds", "expected"), [(5, "(5 s)"), (65, "(1 min)"), (7_300, "(2 h)")])
def test_an_age_is_shown_in_one_unit(seconds: int, expected: str) -> None:
    assert incidents.format_since(NOW - seconds * SECOND, NOW).endswith(expected)
