"""Clients of a Redis server for the tests of its probe."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.collector.probes.recording import Recording
from tests.services.server import Server

NO_RETRY: dict[str, Any] = {"retry": Retry(NoBackoff(), 0)}
NO_RETRY_ASYNC: dict[str, Any] = {"retry": AsyncRetry(NoBackoff(), 0)}


@pytest.fixture
def over_tls(redis_server: Server) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.tls_url, **NO_RETRY) as client:
        yield client


@pytest.fixture
def plain(redis_server: Server) -> Iterator[redis.Redis]:
    with redis.Redis(host=redis_server.host, port=redis_server.port, **NO_RETRY) as client:
        yield client


def operations(recording: Recording) -> list[str]:
    return [call.operation for call in recording.calls]
