"""Copies of a SQLite store: whole, private, and put back under those who have it open."""

import contextlib
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command as alembic_command

from backwatch.collector.settings import SettingError
from backwatch.store import migrate, tables
from backwatch.store.backup import restore_backup, write_backup
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.health import health
from backwatch.store.transactions import reading
from tests.services.commits import Owner, make_cleared, make_raised
from tests.services.faults.disk import Disk, small_disk
from tests.services.server import PREFIX, MissingServerError
from tests.store.test_shared_database import load_legacy
from tests.system.commands import run_command


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


def test_restore_brings_back_the_moment_of_the_backup_under_an_open_store(tmp_path: Path, url: str) -> None:
    engine, copy = open_store(url), tmp_path / "store.backup"
    owner = Owner(engine)
    owner.commit(make_raised(), delta=b"kept", losses={"gap": 1})
    write_backup(engine, copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    owner.commit(make_raised("later"), delta=b"lost", losses={"gap": 1})
    assert restore_backup(open_store(url, check=False), copy) == migrate.head()
    again = Owner(engine)
    assert (again.seq, again.state.deltas) == (1, [b"kept"])
    with reading(engine) as connection:
        assert health(connection).losses == {"gap": 1}
    again.commit(make_raised("later"))
    engine.dispose()


def _event_ids(engine: sa.Engine) -> set[str]:
    with reading(engine) as connection:
        return set(connection.scalars(sa.select(tables.event.c.id)))


def test_episode_after_a_restore_never_bears_an_id_that_was_sent(tmp_path: Path, url: str) -> None:
    engine, copy = open_store(url), tmp_path / "store.backup"
    Owner(engine).commit(make_raised(at_ns=1_000), make_cleared(at_ns=2_000))
    write_backup(engine, copy)
    known = _event_ids(engine)
    sent: list[set[str]] = []
    for begin_ns in (3_000, 3_000, 9_000):
        Owner(engine).commit(make_raised(at_ns=begin_ns), make_cleared(at_ns=begin_ns + 500))
        sent.append(_event_ids(engine) - known)
        restore_backup(open_store(url, check=False), copy)
    assert [len(ids) for ids in sent] == [2, 2, 2]
    assert sent[0] == sent[1]  # the same episode, judged again: a receiver discards it
    assert sent[0].isdisjoint(sent[2])  # another episode under the same number
    engine.dispose()


@pytest.mark.parametrize("version", ["0005", "0006", "9999"], ids=["without the prefix", "older", "newer"])
def test_store_of_any_version_is_backed_up_and_restore_upgrades_it(tmp_path: Path, url: str, version: str) -> None:
    _make_store(url, version)
    copy = tmp_path / "store.backup"
    done = run_command("db", "backup", str(copy), BACKWATCH_STORE_URL=url)
    assert (done.code, done.err) == (0, "")
    other = f"sqlite:///{tmp_path / 'other.db'}"
    back = run_command("db", "restore", str(copy), BACKWATCH_STORE_URL=other)
    if version == "9999":
        assert (back.code, back.err.count("\n")) == (78, 1)
        assert f"{copy}: its tables are of version '9999', newer than this Backwatch" in back.err
        return
    assert (back.code, back.out) == (0, f"{other}: restored, tables {version}, upgraded to {migrate.head()}\n")
    with reading(open_store(other)) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.rule)) == 1


def _make_store(url: str, version: str) -> None:
    """Make a store of this version with one rule in it; 9999 is one that only a later Backwatch knows."""
    legacy = version == "0005"
    if legacy:
        load_legacy(url)
    engine = open_store(url, check=False)
    with engine.begin() as connection:
        if not legacy:
            config = migrate._config()
            config.attributes["connection"] = connection
            alembic_command.upgrade(config, "head" if version == "9999" else version)
            connection.exec_driver_sql(f"UPDATE backwatch_version SET version_num = '{version}'")
        into = "rule" if legacy else "backwatch_rule"
        connection.exec_driver_sql(
            f"INSERT INTO {into} (name, title, level, tags, description, blind_spots, remediation, falsepositives,"
            " \"references\") VALUES ('', '', '', '[]', '', '', '', '[]', '[]')"
        )
    engine.dispose()


def test_database_without_a_store_is_not_backed_up(tmp_path: Path, url: str) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as app:
        app.execute("CREATE TABLE alert (id TEXT)")
    done = run_command("db", "backup", str(tmp_path / "store.backup"), BACKWATCH_STORE_URL=url)
    assert (done.code, done.err) == (69, f"Error: BACKWATCH_STORE_URL='{url}': holds no Backwatch store\n")
    assert not (tmp_path / "store.backup").exists()


def test_backup_never_replaces_a_file(tmp_path: Path, url: str) -> None:
    open_store(url).dispose()
    (tmp_path / "store.backup").write_text("precious")
    done = run_command("db", "backup", str(tmp_path / "store.backup"), BACKWATCH_STORE_URL=url)
    assert (done.code, done.err) == (74, f"Error: File exists: {tmp_path / 'store.backup'}\n")
    assert (tmp_path / "store.backup").read_text() == "precious"


def test_file_that_is_no_store_restores_nothing(tmp_path: Path, url: str) -> None:
    Owner(open_store(url)).commit()
    for content in (b"", b"no database at all" * 100):
        (tmp_path / "other").write_bytes(content)
        with pytest.raises(StoreUnavailable, match="other: holds no Backwatch store"):
            restore_backup(open_store(url, check=False), tmp_path / "other")
    assert Owner(open_store(url)).seq == 1


def test_postgresql_store_names_its_own_programs(postgresql_database: str, tmp_path: Path) -> None:
    engine = open_store(postgresql_database)
    with pytest.raises(SettingError, match="for PostgreSQL use pg_dump"):
        write_backup(engine, tmp_path / "store.backup")
    engine.dispose()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    try:
        with small_disk(tmp_path / "disk") as one:
            yield one
    except MissingServerError as missing:
        pytest.skip(PREFIX + str(missing))


def test_backup_onto_a_full_disk_is_one_line_and_leaves_no_file(disk: Disk, url: str) -> None:
    open_store(url).dispose()
    disk.fill()
    done = run_command("db", "backup", str(disk.folder / "store.backup"), BACKWATCH_STORE_URL=url)
    assert (done.code, done.err.count("\n")) == (74, 1)
    assert "No space left on device" in done.err
    assert [one.name for one in disk.folder.iterdir()] == ["filler"]


def test_store_on_a_read_only_file_system_is_one_line(disk: Disk, tmp_path: Path) -> None:
    engine = open_store(f"sqlite:///{disk.folder}/store.db")
    Owner(engine).commit()
    engine.dispose()
    disk.remount("ro")
    for command in (("db", "upgrade"), ("detect", "--no-router"), ("db", "prune"), ("db", "status")):
        done = run_command(*command, BACKWATCH_STORE_URL=f"sqlite:///{disk.folder}/store.db",
                   BACKWATCH_STREAM_URL=f"sqlite:///{tmp_path}/stream.db")  # fmt: skip
        assert (done.code, done.err.count("\n")) == (69, 1), (command, done)
        assert done.err.startswith(f"Error: BACKWATCH_STORE_URL='sqlite:///{disk.folder}/store.db': ")
