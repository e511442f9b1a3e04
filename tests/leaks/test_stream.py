"""Every entry of the corpus as its probe reports it: no canary in the bytes on disk, none in the log."""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.runtime.record import Session
from backwatch.collector.settings import CollectorSettings, StreamSettings
from backwatch.collector.stream.factory import open_publisher
from tests.leaks.corpus import Planted, entries, plant
from tests.leaks.finder import Finder, capture_logs, shown
from tests.leaks.ways import ELSEWHERE, Teller

KINDS = sorted({f"{entry.system} {entry.way}" for entry in entries()} - ELSEWHERE)


class Stream:
    """An embedded stream and the pipeline that writes to it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        url = f"sqlite:///{file}"
        settings = CollectorSettings(stream_url=url, flush_interval_s=0.01, heartbeat_s=3600.0, app_name="shop")
        self.pipeline = Pipeline(settings, lambda: open_publisher(StreamSettings(url=url)))

    def read_disk(self) -> list[bytes]:
        """Return all bytes on the disk: the files as they are, and each published value."""
        assert self.pipeline.flush(20)
        assert self.pipeline.count_dropped() == 0
        with sqlite3.connect(self.file) as connection:
            values = [value for (value,) in connection.execute("SELECT value FROM record")]
        return [*values, *(one.read_bytes() for one in self.file.parent.glob(f"{self.file.name}*"))]


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Stream]:
    one = Stream(tmp_path / "stream.db")
    yield one
    one.pipeline.close()


def leaks(finder: Finder, where: Iterable[bytes | str]) -> list[str]:
    return sorted({line for one in where for line in shown(finder.find(one))})


@pytest.mark.parametrize("kind", KINDS)
def test_no_canary_reaches_the_stream_or_the_log(kind: str, stream: Stream) -> None:
    sent: list[Planted] = [one for entry in entries() if f"{entry.system} {entry.way}" == kind for one in plant(entry)]
    teller = Teller(stream.pipeline)
    with capture_logs() as logged:
        for one in sent:
            teller.tell(one)
        written = stream.read_disk()
    assert teller.calls >= len(sent)
    finder = Finder(canary for one in sent for canary in one.canaries)
    assert leaks(finder, [*written, *logged]) == []


def test_leaked_canary_is_found_in_the_stream(stream: Stream) -> None:
    one = next(plant(entries()[0]))
    secret = one.canaries[0].text
    each: list[dict[str, Any]] = [{"statement": secret}, {"facts": (("x", secret),)}, {"error": secret}]
    for arguments in each:
        stream.pipeline.record_call(Session(system="redis"), "GET", start_ns=time.time_ns(), **arguments)
    stream.pipeline.record_call(Session(system="redis", account=secret), "GET", start_ns=time.time_ns())
    finder = Finder(one.canaries)
    values = stream.read_disk()
    assert leaks(finder, values[:1])
    assert leaks(finder, values[-1:] + values[-2:-1])
