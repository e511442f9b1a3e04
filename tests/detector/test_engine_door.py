"""The router's door: one record never becomes a flood, and one that the log will not take stops nobody."""

from collections.abc import Sequence

import pytest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message, MessageRefused, Record, Relay, StreamUnavailable
from backwatch.detector.router import KEPT_BYTES, UNREADABLE, Router, route
from tests.detector import streams
from tests.detector.streams import SAFE, START_NS, Call, statement


def test_a_record_with_a_long_head_does_not_become_a_flood() -> None:
    long = "x" * 690_000
    for call in (
        Call(START_NS, SAFE, statement("SELECT ?"), app=long),
        Call(START_NS, {**SAFE, names.CERT_SUBJECT: long}, statement("SELECT ?")),
    ):
        one = streams.encoded([call])
        value = one + streams.encoded([Call(START_NS, SAFE, statement("SELECT ?"))] * 500)
        assert sum(len(message.value) for message in route(value)) < 2 * len(value)


class Narrow(Relay):
    """A log that takes short values only, read anew from where the group is, as Kafka's is after a refusal."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self.records = [Record(0, at, START_NS, value) for at, value in enumerate(values)]
        self.progress = 0
        self.taken: list[bytes] = []

    def poll(self, timeout_s: float) -> list[Record]:
        """All that is left."""
        return self.records[self.progress :]

    def forward(self, consumed: Sequence[Record], outputs: Sequence[Message]) -> None:
        """All or nothing."""
        if any(len(message.value) > 100_000 for message in outputs):
            raise MessageRefused("too large")
        self.taken += [message.value for message in outputs]
        self.progress = consumed[-1].offset + 1

    def close(self) -> None:
        """Nothing to let go of."""


def test_a_value_that_the_log_refuses_goes_on_as_its_beginning_and_its_neighbours_whole() -> None:
    good = streams.encoded([Call(START_NS, SAFE, statement("SELECT ?"))])
    relay = Narrow([good, b"\xff" * 200_000, good])
    router = Router(StreamSettings())
    with pytest.raises(StreamUnavailable, match="begun anew"):
        router.turn(relay)
    assert router.turn(relay) == 0
    first, cut, last = relay.taken
    assert first == last
    assert cut == UNREADABLE + b"\xff" * KEPT_BYTES
