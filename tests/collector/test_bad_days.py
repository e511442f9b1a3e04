"""A broker that is down, unreachable or silent in the handshake, and a full disk: the app notices nothing of it."""

import socket
import time

import pytest

from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import StreamUnavailable, open_publisher


def test_a_broker_that_never_ends_its_handshake_is_given_up_in_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        settings = StreamSettings(url=f"kafka://127.0.0.1:{server.getsockname()[1]}", security_protocol="SSL")
        began = time.monotonic()
        with pytest.raises(StreamUnavailable):
            open_publisher(settings)
        assert time.monotonic() - began < 10
