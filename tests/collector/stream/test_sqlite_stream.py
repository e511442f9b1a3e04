"""The embedded stream: offsets, groups, pruning, a full disk, forks."""

import os
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from backwatch.collector.settings import SettingError, StreamSettings
from backwatch.collector.stream import Message, Record, StreamUnavailable, sqlite
from backwatch.collector.stream.factory import ensure_topics, open_consumer, open_publisher, open_relay


@pytest.fixture
def settings(tmp_path: Path) -> StreamSettings:
    return StreamSettings(url=f"sqlite:///{tmp_path}/state/stream.db")


def publish(settings: StreamSettings, *values: bytes, topic: str = "calls") -> None:
    publisher = open_publisher(settings)
    publisher.publish(topic, [Message(value, b"app") for value in values], 30)
    publisher.close(1)


def test_published_records_are_read_in_order_with_their_metadata(settings: StreamSettings) -> None:
    publisher = open_publisher(settings)
    publisher.publish("calls", [Message(b"one", b"app"), Message(b"two", appended_ns=42, backfill=True)], 5)
    with closing(open_consumer(settings, "calls", "detector")) as consumer:
        first, second = consumer.poll(1)
        assert consumer.poll(0) == []
    assert (first.offset, first.value, first.key, first.backfill) == (0, b"one", b"app", False)
    assert Record(0, 1, 42, b"two", None, backfill=True) == second
    publisher.close(1)


def test_each_group_reads_all_and_a_topic_is_read_alone(settings: StreamSettings) -> None:
    publish(settings, b"a")
    publish(settings, b"b", topic="spans")
    for group in ("one", "two"):
        with closing(open_consumer(settings, "calls", group)) as consumer:
            assert [record.value for record in consumer.poll(1)] == [b"a"]


def test_a_reader_continues_after_the_commit_or_the_seek(settings: StreamSettings) -> None:
    publish(settings, b"0", b"1", b"2", b"3")
    with closing(open_consumer(settings, "calls", "detector")) as consumer:
        consumer.poll(1)
        consumer.commit(0, 2)
    with closing(open_consumer(settings, "calls", "detector")) as consumer:
        assert frozenset({0}) == consumer.assignment()
        assert [record.offset for record in consumer.poll(1)] == [2, 3]
        consumer.seek(0, 3)
        assert [record.offset for record in consumer.poll(1)] == [3]


def test_records_are_pruned_below_the_slowest_group_and_offsets_never_repeat(settings: StreamSettings) -> None:
    publish(settings, b"0", b"1", b"2")
    with (
        closing(open_consumer(settings, "calls", "fast")) as fast,
        closing(open_consumer(settings, "calls", "slow")) as slow,
    ):
        slow.commit(0, 1)
        fast.commit(0, 3)
        assert fast.bounds(0) == (1, 3)
        slow.commit(0, 3)
        assert fast.bounds(0) == (3, 3)
        publish(settings, b"3")
        fast.seek(0, 0)
        assert [record.offset for record in fast.poll(1)] == [3]


def test_a_stream_without_readers_does_not_grow_for_ever(
    settings: StreamSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "RETENTION_BYTES", 100_000)
    for _ in range(30):
        publish(settings, b"x" * 10_000)
    with closing(open_consumer(settings, "calls", "late")) as consumer:
        first, upcoming = consumer.bounds(0)
        assert upcoming == 30
        assert 18 <= first < 30
        assert first == consumer.poll(1)[0].offset


def test_a_relay_moves_records_once_and_its_successor_continues(settings: StreamSettings) -> None:
    publish(settings, b"a", b"b", topic="spans")
    for expected in ([b"a", b"b"], []):
        with closing(open_relay(settings, "spans", "calls", "router")) as relay:
            records = relay.poll(0)
            assert expected == [record.value for record in records]
            relay.forward(records, [Message(one.value, b"app", one.appended_ns) for one in records])
    with closing(open_consumer(settings, "calls", "detector")) as consumer:
        assert [record.value for record in consumer.poll(1)] == [b"a", b"b"]


def test_second_relay_with_the_same_records_is_fenced(settings: StreamSettings) -> None:
    publish(settings, b"a", topic="spans")
    with (
        closing(open_relay(settings, "spans", "calls", "router")) as one,
        closing(open_relay(settings, "spans", "calls", "router")) as other,
    ):
        records = one.poll(0)
        assert records == other.poll(0)
        one.forward(records, [Message(b"out")])
        with pytest.raises(StreamUnavailable, match="has moved on"):
            other.forward(records, [Message(b"out")])
        publish(settings, b"b", topic="spans")
        assert [record.value for record in other.poll(1)] == [b"b"]
    with closing(open_consumer(settings, "calls", "detector")) as consumer:
        assert [record.value for record in consumer.poll(1)] == [b"out"]


def test_many_writers_wait_for_each_other(settings: StreamSettings) -> None:
    threads = [threading.Thread(target=lambda: [publish(settings, b"x") for _ in range(20)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(open_consumer(settings, "calls", "detector")) as consumer:
        assert list(range(160)) == [record.offset for record in consumer.poll(1)]


def test_only_the_owner_may_read_the_file(settings: StreamSettings, tmp_path: Path) -> None:
    publisher = open_publisher(settings)
    publisher.publish("calls", [Message(b"x")], 5)
    folder = tmp_path / "state"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    publisher.close(1)


def test_full_disk_is_reported_in_one_line_without_damage(
    settings: StreamSettings,
) -> None:
    publisher = open_publisher(settings)
    assert isinstance(publisher, sqlite.SqlitePublisher)
    publisher.publish("calls", [Message(b"x")], 5)
    connection = publisher._file.connection()
    connection.execute("PRAGMA max_page_count = 20")
    with pytest.raises(StreamUnavailable, match=r"^BACKWATCH_STREAM_URL='sqlite:///.*full.*\?$") as failed:
        publisher.publish("calls", [Message(b"y" * 200_000)], 5)
    assert "\n" not in str(failed.value)
    connection.execute("PRAGMA max_page_count = 1000000")
    publisher.publish("calls", [Message(b"z")], 5)
    publisher.close(1)
    with closing(open_consumer(settings, "calls", "detector")) as consumer:
        assert [record.value for record in consumer.poll(1)] == [b"x", b"z"]


def test_a_folder_that_cannot_be_created_is_reported_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StreamUnavailable, match="BACKWATCH_STREAM_URL"):
        open_publisher(StreamSettings(url=f"sqlite:///{tmp_path}/file/stream.db"))


def test_a_file_that_is_no_database_is_reported_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "stream.db").write_bytes(b"not a database at all, and longer than a header" * 50)
    with pytest.raises(StreamUnavailable, match="BACKWATCH_STREAM_URL"):
        open_publisher(StreamSettings(url=f"sqlite:///{tmp_path}/stream.db"))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "redis://host", "nonsense", "sqlite://host"])
def test_an_address_that_is_none_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingError, match="BACKWATCH_STREAM_URL"):
        open_publisher(StreamSettings(url=url))


def test_a_publisher_goes_on_in_a_forked_child_and_in_its_parent(settings: StreamSettings) -> None:
    publisher = open_publisher(settings)
    publisher.publish("calls", [Message(b"parent")], 5)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            publisher.publish("calls", [Message(b"child")], 5)
            publisher.close(1)
            code = 0
        finally:
            os._exit(code)
    assert (child, 0) == os.waitpid(child, 0)
    publisher.publish("calls", [Message(b"parent again")], 5)
    publisher.close(1)
    with closing(open_consumer(settings, "calls", "detector")) as consumer:
        assert [record.value for record in consumer.poll(1)] == [b"parent", b"child", b"parent again"]


def test_making_topics_makes_the_file(settings: StreamSettings, tmp_path: Path) -> None:
    ensure_topics(settings, ["calls"])
    assert (tmp_path / "state" / "stream.db").exists()
