"""A broker that is down, unreachable or silent in the handshake, and a full disk: the app notices nothing of it."""

import socket
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from backwatch.collector.pipeline import Pipeline
from backwatch.collector.record import Session
from backwatch.collector.settings import CollectorSettings, StreamSettings
from backwatch.collector.stream import Publisher, StreamUnavailable, open_publisher

MEMORY_BYTES = 13_000_000
"""What queued calls may take: with what the client of a dead broker takes, and the heap's gaps, it is below 16 MB."""


def test_a_broker_that_never_ends_its_handshake_is_given_up_in_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        settings = StreamSettings(url=f"kafka://127.0.0.1:{server.getsockname()[1]}", security_protocol="SSL")
        began = time.monotonic()
        with pytest.raises(StreamUnavailable):
            open_publisher(settings)
        assert time.monotonic() - began < 10


def away() -> Publisher:
    raise StreamUnavailable("away")


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    """A pipeline whose stream is away."""
    with closing(Pipeline(CollectorSettings(exit_timeout_s=0.1), away)) as pipeline:
        yield pipeline


def session(number: int) -> Session:
    """A connection of which nothing is shared with another one."""
    texts: dict[str, Any] = {
        name: f"{name} {number}" for name in ("account", "issuer", "subject", "not_after", "cipher")
    }
    return Session(system="mysql", address="db", certificate_sha256=f"{number:064x}", **texts)


LONG = "SELECT {} " + 800 * "x"
NAMES = [f"fact.{number}" for number in range(6)]


@pytest.mark.parametrize(
    ("text", "facts", "connections"),
    [("SELECT {}", 0, 1), ("SELECT {}", 6, 11_000), (LONG, 6, 11_000), (LONG + "\N{GRINNING FACE}", 0, 1)],
)
def test_whatever_calls_wait_for_a_stream_that_is_away_they_take_no_more_memory_than_their_bound(
    pipeline: Pipeline, text: str, facts: int, connections: int
) -> None:
    shared = session(0)
    tracemalloc.start()
    try:
        for at in range(11_000):
            pipeline.call(
                shared if connections == 1 else session(at), "SELECT", start_ns=10**18 + at,
                statement=text.format(at), facts=tuple((name, f"value of {name}: {at}") for name in NAMES[:facts]),
            )  # fmt: skip
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert pipeline.dropped() > 0
    assert held < MEMORY_BYTES
