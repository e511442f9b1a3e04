"""Ingest of unreadable values: no record becomes a flood, and no refusal stops the router."""

from collections.abc import Sequence

import pytest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message, MessageRefused, Record, Relay, StreamUnavailable
from backwatch.detector.decoding.decoder import decode
from backwatch.detector.ingest.routing import KEPT_BYTES, UNREADABLE, route
from backwatch.detector.runtime.router import Router
from tests.detector import streams
from tests.detector.ingest import otlp_mutator
from tests.detector.streams import SAFE, START_NS, Call, statement


def test_record_with_a_long_header_does_not_become_a_flood() -> None:
    long = "x" * 690_000
    for call in (
        Call(START_NS, SAFE, statement("SELECT ?"), app=long),
        Call(START_NS, {**SAFE, names.CERT_SUBJECT: long}, statement("SELECT ?")),
    ):
        first_request = streams.encode([call])
        value = first_request + streams.encode([Call(START_NS, SAFE, statement("SELECT ?"))] * 500)
        assert sum(len(message.value) for message in route(value)) < 2 * len(value)


class Narrow(Relay):
    """A log for short values only, re-read from the group's position, like Kafka's."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self.records = [Record(0, at, START_NS, value) for at, value in enumerate(values)]
        self.progress = 0
        self.taken: list[bytes] = []

    def poll(self, timeout_s: float) -> list[Record]:
        """Return all remaining records."""
        return self.records[self.progress :]

    def forward(self, consumed: Sequence[Record], outputs: Sequence[Message]) -> None:
        """Append all values or none."""
        if any(len(message.value) > 100_000 for message in outputs):
            raise MessageRefused("too large")
        self.taken += [message.value for message in outputs]
        self.progress = consumed[-1].offset + 1

    def positions(self) -> dict[int, tuple[int, int]]:
        """Return the next offset to read and the log's end."""
        return {0: (self.progress, len(self.records))}

    def ends(self) -> dict[int, int]:
        """Return the log's end."""
        return {0: len(self.records)}

    def close(self) -> None:
        """Close nothing."""


def test_refused_value_is_truncated_and_its_neighbours_pass_whole() -> None:
    good = streams.encode([Call(START_NS, SAFE, statement("SELECT ?"))])
    relay = Narrow([good, b"\xff" * 200_000, good])
    router = Router(StreamSettings())
    with pytest.raises(StreamUnavailable, match="continuing behind it"):
        router.turn(relay)
    assert router.turn(relay) == 0
    first, cut, last = relay.taken
    assert first == last
    assert cut == UNREADABLE + b"\xff" * KEPT_BYTES


def test_unknown_field_does_not_affect_its_neighbours() -> None:
    """Failure that taught it: such a field, forwarded within an own scope, got its whole request refused."""
    good = streams.encode([Call(START_NS, SAFE, statement("SELECT ?"))])
    ((number, wire, resource),) = otlp_mutator.parse(good)
    group = (100, 3, b""), (100, 4, b"")

    def with_group(fields: Sequence[otlp_mutator.Field], depth: int) -> list[otlp_mutator.Field]:
        *others, (last, of, body) = fields
        if depth == 0 or isinstance(body, bytes):
            return [*fields, *group]
        return [*others, (last, of, with_group(body, depth - 1))]

    assert not isinstance(resource, bytes)
    value = otlp_mutator.serialize([(number, wire, with_group(resource, 2))])
    assert decode([value]).malformed != []
    found = decode([message.value for message in route(value)])
    assert (found.count, found.malformed) == (1, [])
