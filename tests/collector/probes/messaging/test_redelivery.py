"""Redelivered messages: counted by their content if the broker does not count; no content is kept."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.collector.probes.toolkit.messages import PendingMessages
from backwatch.collector.probes.toolkit.redelivery import (
    COUNT_HEADER,
    MAX_HASHED_BYTES,
    MAX_TRACKED_MESSAGES,
    RedeliveryTracker,
    nats_redeliveries,
)


def times(returning: RedeliveryTracker, body: Any, queue: str = "orders", headers: Any = None) -> int:
    ((name, value),) = returning.facts(queue, body, headers)
    assert name == names.REDELIVERED
    assert isinstance(value, int)
    return value


def test_the_same_message_is_counted_each_time_it_comes_again() -> None:
    returning = RedeliveryTracker()
    assert [times(returning, b"broken") for _ in range(12)] == list(range(1, 13))


def test_many_messages_that_come_again_once_each_are_no_loop() -> None:
    returning = RedeliveryTracker()
    assert {times(returning, b"order %d" % number) for number in range(5_000)} == {1}


def test_the_same_body_in_another_queue_is_another_message() -> None:
    returning = RedeliveryTracker()
    assert [times(returning, b"broken", queue) for queue in ("a", "b", "a")] == [1, 1, 2]


def test_a_message_among_others_that_come_again_is_still_counted() -> None:
    returning, counted = RedeliveryTracker(), list[int]()
    for number in range(50):
        counted.append(times(returning, b"broken"))
        for other in range(5):
            times(returning, b"%d %d" % (number, other))
    assert counted == list(range(1, 51))


def test_broker_redelivery_count_is_used() -> None:
    assert times(RedeliveryTracker(), b"broken", headers={COUNT_HEADER: 17}) == 17
    assert times(RedeliveryTracker(), b"broken", headers={COUNT_HEADER: 0}) == 1  # it is marked, and so came before
    assert times(RedeliveryTracker(), b"broken", headers={COUNT_HEADER: "17"}) == 1
    assert times(RedeliveryTracker(), b"broken", headers={COUNT_HEADER: True}) == 1


def test_redelivery_tracker_keeps_only_a_few_numbers() -> None:
    returning = RedeliveryTracker()
    for number in range(10 * MAX_TRACKED_MESSAGES):
        times(returning, b"secret %d" % number)
    kept = returning._times
    assert len(kept) <= MAX_TRACKED_MESSAGES
    assert all(type(one) is int for pair in kept.items() for one in pair)


def test_long_messages_with_one_beginning_differ_by_length() -> None:
    returning, head = RedeliveryTracker(), b"x" * MAX_HASHED_BYTES
    assert [times(returning, one) for one in (head + b"1", head + b"22", head + b"1")] == [1, 1, 2]


@given(st.one_of(st.none(), st.integers(), st.binary(), st.text(), st.binary().map(memoryview), st.lists(st.binary())))
def test_bodies_of_every_type_are_counted(body: Any) -> None:
    returning = RedeliveryTracker()
    assert times(returning, body) == 1


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("$JS.ACK.ORDERS.worker.1.7.9.1700000000.0", 0),
        (b"$JS.ACK.ORDERS.worker.12.7.9.1700000000.0", 11),
        ("$JS.ACK.hub.ACCOUNT.ORDERS.worker.5.7.9.1700000000.0.token", 4),
        ("$JS.ACK.hub.ACCOUNT.ORDERS.worker.5.7.9.1700000000.0", 4),
        ("$JS.ACK.ORDERS.worker.x.7.9.1700000000.0", 0),
        ("$JS.ACK.short", 0),
        ("_INBOX.abc", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_jetstreams_delivery_count_is_used(reply: Any, expected: int) -> None:
    assert nats_redeliveries(reply) == expected


@given(
    st.one_of(st.text(), st.text().map(lambda rest: "$JS.ACK." + rest), st.binary().map(lambda it: b"$JS.ACK." + it))
)
def test_no_reply_makes_it_raise(reply: Any) -> None:
    assert nats_redeliveries(reply) >= -1


def test_messages_recorded_together_report_the_most_redeliveries_of_one() -> None:
    recorded: list[Any] = []
    gathered = PendingMessages("orders", lambda one, _error: recorded.append(one.facts()))
    gathered.add(1, b"a")  # recorded at once
    for count in (0, 3, 1):
        gathered.add(1, b"b", times=count)
    gathered.flush()
    gathered.add(1, b"c")
    gathered.flush()
    assert recorded == [(), ((names.REDELIVERED, 3),), ()]
