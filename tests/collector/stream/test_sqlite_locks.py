"""Closing a database outside SQLite drops the process's locks; another process then deletes the log in use."""

import os
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import open_consumer, open_publisher
from backwatch.store import entries
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading

PUBLISH = """
import sys
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import open_publisher
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


FORKED = """
import os, sys
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import open_publisher
settings = StreamSettings(url=sys.argv[1])
mine = open_publisher(settings)
mine.publish("backwatch_calls", [Message(b"parent")], 10)
(reader, writer), (receiver, sender) = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    its = open_publisher(settings)
    its.publish("backwatch_calls", [Message(b"child")], 10)
    os.write(writer, b"x")
    os.read(receiver, 1)
    its.publish("backwatch_calls", [Message(b"child, alone")], 10)
    its.close(5)
    os._exit(0)
os.read(reader, 1)
mine.close(5)
os.write(sender, b"x")
assert os.waitpid(child, 0)[1] == 0
"""


def open_files() -> list[str]:
    found = list[str]()
    for one in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(str(one.readlink()))
    return found


def another_process(program: str, url: str) -> None:
    subprocess.run([sys.executable, "-c", program, url], check=True, timeout=60)


def test_a_second_reader_keeps_the_first_ones_lock_on_the_stream(tmp_path: Path) -> None:
    settings = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")
    with closing(open_consumer(settings, names.TOPIC_CALLS, "first")) as first:
        open_consumer(settings, names.TOPIC_CALLS, "second").close()
        log = (tmp_path / "stream.db-wal").stat().st_ino
        another_process(PUBLISH, settings.url)
        assert (tmp_path / "stream.db-wal").stat().st_ino == log
        assert [one.value for one in first.poll(1)] == [b"value"]


def test_opening_the_store_twice_keeps_the_first_lock(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    first = open_store(url)
    with reading(first) as connection:
        assert entries.after(connection, 0, 10) == []
        open_store(url).dispose()
        log = (tmp_path / "store.db-wal").stat().st_ino
        another_process(VISIT, url)
        assert (tmp_path / "store.db-wal").stat().st_ino == log
    first.dispose()


def test_forked_childs_records_survive_the_parents_close(tmp_path: Path) -> None:
    settings = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")
    another_process(FORKED, settings.url)
    another_process(PUBLISH, settings.url)
    with closing(open_consumer(settings, names.TOPIC_CALLS, "reader")) as reader:
        assert [one.value for one in reader.poll(5)] == [b"parent", b"child", b"child, alone", b"value"]


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="there are no forks")
def test_fork_inherits_no_connection_and_the_parent_reconnects(tmp_path: Path) -> None:
    settings = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")
    publisher = open_publisher(settings)
    publisher.publish(names.TOPIC_CALLS, [Message(b"before")], 5)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = int(any(str(tmp_path) in held for held in open_files()))
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    publisher.publish(names.TOPIC_CALLS, [Message(b"after")], 5)
    publisher.close(5)
    with closing(open_consumer(settings, names.TOPIC_CALLS, "reader")) as reader:
        assert [one.value for one in reader.poll(5)] == [b"before", b"after"]
