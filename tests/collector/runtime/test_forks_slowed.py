"""Children forked while every step of the collector is slowed at random; ``make bench NAME=forks`` runs longer."""

import os
from pathlib import Path

import pytest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import ensure_topics
from bench.forks import run_app
from tests.services.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")]
FORKS = 24


def endings(settings: dict[str, str]) -> tuple[int, int, int]:
    """Forks, children that hung, and children that delivered nothing."""
    found = run_app(FORKS, "3", settings)
    return found["forks"], found["hung"], found["undelivered"]


def test_every_child_delivers_to_the_embedded_stream(tmp_path: Path) -> None:
    assert endings({"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path}/stream.db"}) == (FORKS, 0, 0)


def test_every_child_delivers_to_kafka_over_tls(kafka_without_topics: Server) -> None:
    ensure_topics(StreamSettings(url=kafka_without_topics.url, partitions=1), (names.TOPIC_CALLS,))
    url = f"kafka://localhost:{kafka_without_topics.tls_port}"
    settings = {"BACKWATCH_STREAM_URL": url, "BACKWATCH_KAFKA_CA_FILE": kafka_without_topics.ca_file}
    assert endings(settings) == (FORKS, 0, 0)
