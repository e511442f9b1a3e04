"""Closing a database past SQLite would drop this process's locks on it, another would then delete the log in use."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import open_consumer
from backwatch.store import entries
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading

PUBLISH = """
import sys
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message, open_publisher
publisher = open_publisher(StreamSettings(url=sys.argv[1]))
publisher.publish("backwatch_calls", [Message(b"value")], 10)
publisher.close(5)
"""
VISIT = """
import sys
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from backwatch.store.queries import shard_rows
store = open_store(sys.argv[1])
with reading(store) as connection:
    shard_rows(connection)
store.dispose()
"""


def another_process(program: str, url: str) -> None:
    subprocess.run([sys.executable, "-c", program, url], check=True, timeout=60)


def test_a_second_reader_in_the_process_leaves_the_first_ones_lock_on_the_stream(tmp_path: Path) -> None:
    settings = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")
    with closing(open_consumer(settings, names.TOPIC_CALLS, "first")) as first:
        open_consumer(settings, names.TOPIC_CALLS, "second").close()
        log = (tmp_path / "stream.db-wal").stat().st_ino
        another_process(PUBLISH, settings.url)
        assert (tmp_path / "stream.db-wal").stat().st_ino == log
        assert [one.value for one in first.poll(1)] == [b"value"]


def test_opening_the_store_again_in_the_process_leaves_the_first_ones_lock(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    first = open_store(url)
    with reading(first) as connection:
        assert entries.after(connection, 0, 10) == []
        open_store(url).dispose()
        log = (tmp_path / "store.db-wal").stat().st_ino
        another_process(VISIT, url)
        assert (tmp_path / "store.db-wal").stat().st_ino == log
    first.dispose()
