"""A command's refusal is one line that names the setting or the argument, with its value."""

from pathlib import Path

import pytest

from backwatch.collector import names
from backwatch.collector.settings import SettingError, StreamSettings
from backwatch.collector.stream import StreamUnavailable
from backwatch.detector.runtime import repartition
from backwatch.store.backup import write_backup
from backwatch.store.commit import Commit
from backwatch.store.connect import open_store
from backwatch.store.shards import commit, load
from backwatch.store.transactions import writing
from tests.services.brokers.topics import create_on_demand
from tests.services.server import Server
from tests.system.commands import run_command


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    open_store(url).dispose()
    return url


def test_stream_without_partitions_is_named(url: str, tmp_path: Path) -> None:
    stream = f"sqlite:///{tmp_path / 'stream.db'}"
    done = run_command("partitions", "add", "4", BACKWATCH_STREAM_URL=stream, BACKWATCH_STORE_URL=url)
    expected = f"Error: BACKWATCH_STREAM_URL={stream!r}: only a kafka:// stream has partitions to add\n"
    assert (done.code, done.err) == (78, expected)


def test_invalid_count_and_missing_topic_are_named(
    kafka: Server, kafka_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = StreamSettings(url=kafka.url)
    with create_on_demand(kafka, kafka_prefix) as make:
        topic = make("calls", 8)
        monkeypatch.setattr(names, "TOPIC_CALLS", topic)
        monkeypatch.setattr(repartition, "TOPICS", (topic,))
        with pytest.raises(SettingError, match=r"^COUNT=12: must be a multiple of today's 8 partitions, and larger$"):
            repartition.plan(settings, 12)
        monkeypatch.setattr(repartition, "TOPICS", (topic, f"{kafka_prefix}none"))
        with pytest.raises(StreamUnavailable, match=r"^BACKWATCH_STREAM_URL='kafka://[^']+': there is no topic "):
            repartition.plan(settings, 16)


@pytest.mark.parametrize(("offset", "reason"), [(0, "an unfinished run"), (7, "an earlier, larger stream")])
def test_count_that_the_shards_do_not_fit_is_named(url: str, offset: int, reason: str) -> None:
    store = open_store(url)
    for shard in (0, 5):
        with writing(store) as connection:
            load(connection, shard)
        made = Commit(shard=shard, seq=0, next_offset=offset if shard else 1, watermark_ns=0, entry_id=0, delta=b"")
        commit(store, made, now_ns=1)
    wanted = repartition.Plan(before=4, after=16, topics={})
    with pytest.raises(SettingError, match=rf"^COUNT=16: .*{reason}"):
        repartition.split(store, None, wanted, 1)  # type: ignore[arg-type]  it is not come to
    store.dispose()


def test_history_that_is_too_short_names_the_store(url: str) -> None:
    done = run_command("fit", BACKWATCH_STORE_URL=url)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert done.err.startswith(f"Error: BACKWATCH_STORE_URL={url!r}: too little history")


def test_missing_backup_folder_is_named_as_given(url: str, tmp_path: Path) -> None:
    file = tmp_path / "none" / "store.backup"
    done = run_command("db", "backup", str(file), BACKWATCH_STORE_URL=url)
    assert (done.code, done.err) == (74, f"Error: No such file or directory: {file}\n")


def test_store_that_has_other_programs_is_named_without_its_password(postgresql_database: str, tmp_path: Path) -> None:
    engine = open_store(postgresql_database)
    with pytest.raises(SettingError) as refused:
        write_backup(engine, tmp_path / "store.backup")
    engine.dispose()
    assert str(refused.value).startswith("BACKWATCH_STORE_URL='postgresql://127.0.0.1:")
    assert str(refused.value).endswith("': is no SQLite store; for PostgreSQL use pg_dump")
