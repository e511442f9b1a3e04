"""Opening the store: what is made, what is refused, and in which words."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from backwatch.collector.settings import SettingError
from backwatch.store import migrate, rules_meta, shards, tables
from backwatch.store.connect import StoreFull, StoreUnavailable, open_store
from backwatch.store.transactions import reading, writing
from tests.services.commits import Owner, commit, make_raised


def test_the_migrations_make_exactly_the_tables_of_the_code(store: sa.Engine) -> None:
    with store.connect() as connection:
        assert compare_metadata(migrate.configure_context(connection), tables.metadata) == []


def test_two_that_upgrade_at_once_do_it_once(store_url: str) -> None:
    results: list[object] = []

    def upgrade() -> None:
        engine = open_store(store_url, check=False)
        results.append(migrate.upgrade(engine)[0])
        engine.dispose()

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, [None, *[migrate.head()] * 3])) == sorted(map(str, results))


def test_store_of_the_first_version_is_upgraded_with_its_contents(store_url: str) -> None:
    engine = open_store(store_url, check=False)
    with engine.connect() as connection:  # each migration in its own transaction, as a store that lived through them
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        columns = ("name", "title", "level", "tags", "description", "blind_spots", "remediation", "falsepositives")
        row = {**dict.fromkeys(columns, "[]"), "references": "[]", "name": "own-rule"}
        table = sa.table("backwatch_rule", *map(sa.column, row))
        connection.execute(sa.insert(table).values(row))
        connection.commit()
    assert migrate.upgrade(engine) == ("0001", migrate.head())
    with reading(engine) as connection:
        [rule] = rules_meta.read_rules(connection)
        assert compare_metadata(migrate.configure_context(connection), tables.metadata) == []
    assert (rule.name, rule.how, rule.parameters) == ("own-rule", (), ())
    engine.dispose()


@pytest.mark.parametrize("version", ["0001", "0002", "0003", "0004", "0005", "0006", "0007"])
def test_a_shard_of_any_older_version_goes_on_where_it_was(store_url: str, version: str) -> None:
    engine = open_store(store_url, check=False)
    with engine.connect() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        for table, row in (
            (
                "backwatch_shard",
                {"id": 3, "seq": 7, "next_offset": 70, "watermark_ns": 5, "entry_id": 2, "updated_ns": 1},
            ),
            ("backwatch_shard_snapshot", {"shard": 3, "seq": 6, "blob": b"whole"}),
            ("backwatch_shard_delta", {"shard": 3, "seq": 7, "blob": b"change"}),
        ):
            connection.execute(sa.insert(sa.table(table, *map(sa.column, row))).values(row))
        connection.commit()
    assert migrate.upgrade(engine) == (version, migrate.head())
    with writing(engine) as connection:
        found = shards.load(connection, 3)
    assert (found.seq, found.next_offset, found.snapshot, found.deltas) == (7, 70, b"whole", [b"change"])
    assert (found.topic_id, found.leader_epoch) == ("", -1)
    one = commit(shard=3, seq=7, next_offset=71, topic_id="anew", leader_epoch=4)
    shards.commit(engine, one, now_ns=2)
    with writing(engine) as connection:
        found = shards.load(connection, 3)
    assert (found.seq, found.next_offset, found.topic_id, found.leader_epoch) == (8, 71, "anew", 4)
    engine.dispose()


@pytest.mark.parametrize(("version", "message"), [("9999", "newer than this Backwatch"), ("0000", "newer")])
def test_a_store_of_another_version_is_refused_in_one_line(store: sa.Engine, version: str, message: str) -> None:
    url = store.url.render_as_string(hide_password=False).replace("+psycopg", "").replace("+pysqlite", "")
    with writing(store) as connection:
        connection.execute(sa.text("update backwatch_version set version_num = :v"), {"v": version})
    for way in (lambda: open_store(url), lambda: migrate.upgrade(open_store(url, check=False))):
        with pytest.raises(SettingError, match=message) as raised_error:
            way()
        assert "\n" not in str(raised_error.value)
        assert "BACKWATCH_STORE_URL" in str(raised_error.value)
        assert (store.url.password or "never") not in str(raised_error.value)


def test_older_store_names_the_command_that_upgrades_it(store: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "head", lambda: "9998")
    with pytest.raises(SettingError, match="run `backwatch db upgrade`"):
        migrate.require_current(store, "BACKWATCH_STORE_URL")


def test_the_file_and_its_folder_are_for_this_user_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        engine = open_store(f"sqlite:///{tmp_path / 'a' / 'b' / 'store.db'}")
        Owner(engine).commit()
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").rglob("*")}
    modes["a"] = stat.S_IMODE((tmp_path / "a").stat().st_mode)
    engine.dispose()
    assert modes == {"a": 0o700, "b": 0o700, "store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:hunter2@h/d", "neither sqlite nor postgresql"),
        ("hunter2", "not a URL"),
        ("sqlite://", "needs a path"),
        ("postgresql://u:hunter2@h", "name of the database is missing"),
        ("postgresql://u:hunter2@h:port/d", "not a URL"),
    ],
)
def test_unusable_url_is_refused_by_name_without_its_secret(url: str, message: str) -> None:
    with pytest.raises(SettingError, match=message) as error:
        open_store(url)
    assert "BACKWATCH_STORE_URL" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_database_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(
        StoreUnavailable, match=r"BACKWATCH_STORE_URL='postgresql://127\.0\.0\.1:1/d': .*refused"
    ) as error:
        open_store("postgresql://u:hunter2@127.0.0.1:1/d")
    assert "hunter2" not in str(error.value)


def test_a_wrong_password_is_not_shown(postgresql_database: str) -> None:
    url = sa.make_url(postgresql_database).set(password="hunter2").render_as_string(hide_password=False)
    with pytest.raises(StoreUnavailable, match="password authentication failed") as error:
        open_store(url)
    assert "hunter2" not in str(error.value)


def test_what_is_stored_is_not_in_the_text_of_an_error(store: sa.Engine) -> None:
    with pytest.raises(DBAPIError) as error, writing(store) as connection:
        connection.execute(sa.text("select :value from nowhere"), {"value": "hunter2"})
    assert "nowhere" in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("kind", ["folder", "not a database"])
def test_a_file_that_is_no_store_is_unavailable(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "store.db"
    path.mkdir() if kind == "folder" else path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreUnavailable, match="BACKWATCH_STORE_URL"):
        open_store(f"sqlite:///{path}")


def test_full_disk_is_reported_and_costs_nothing(tmp_path: Path) -> None:
    engine = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    owner = Owner(engine)
    owner.commit(delta=b"kept")

    @event.listens_for(engine, "checkout")
    def _(connection: object, *_: object) -> None:
        pages = connection.execute("pragma page_count").fetchone()[0]  # type: ignore[attr-defined]
        connection.execute(f"pragma max_page_count={pages}")  # type: ignore[attr-defined]

    with pytest.raises(StoreFull, match=r"BACKWATCH_STORE_URL=.*the disk is full") as error:
        owner.commit(make_raised(), delta=os.urandom(1_000_000))
    assert error.value.errno == 28
    engine.dispose()
    again = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    assert (Owner(again).state.seq, Owner(again).state.deltas) == (1, [b"kept"])
    again.dispose()


def test_commit_can_be_repeated_after_a_database_outage(postgresql_database: str) -> None:
    engine = open_store(postgresql_database)
    owner = Owner(engine)
    one = commit(0, delta=b"x")

    @event.listens_for(engine, "before_cursor_execute", once=True)
    def _(connection: sa.Connection, *_: object) -> None:
        other = sa.create_engine(engine.url)
        with other.begin() as killer:
            killer.execute(sa.text("select pg_terminate_backend(pid) from pg_stat_activity where datname = "
                                   "current_database() and pid <> pg_backend_pid()"))  # fmt: skip
        other.dispose()

    with pytest.raises(StoreUnavailable):
        shards.commit(engine, one, now_ns=1)
    shards.commit(engine, one, now_ns=1)
    assert Owner(engine).state.seq == 1
    assert owner.state.seq == 0
    engine.dispose()


def test_eight_writers_and_four_readers_never_see_a_lock(tmp_path: Path) -> None:
    engine = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    failures: list[BaseException] = []

    def write(shard: int) -> None:
        try:
            owner = Owner(engine, shard)
            for _ in range(6):
                owner.commit(make_raised(str(shard)))
        except BaseException as error:  # noqa: BLE001  handed to the test
            failures.append(error)

    def read() -> None:
        try:
            for _ in range(30):
                with reading(engine) as connection:
                    connection.execute(sa.select(tables.alert)).all()
        except BaseException as error:  # noqa: BLE001  handed to the test
            failures.append(error)

    threads = [threading.Thread(target=write, args=(shard,)) for shard in range(8)]
    threads += [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.dispose()
    assert failures == []


def _backwatch(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from backwatch.collector.cli import main; main()", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)


def test_db_upgrade_and_status_say_what_is(store_url: str) -> None:
    first, second = (_backwatch("db", "upgrade", BACKWATCH_STORE_URL=store_url) for _ in range(2))
    assert (first.stdout, second.stdout) == (f"empty -> {migrate.head()}\n", f"{migrate.head()}: up to date\n")
    engine = open_store(store_url)
    Owner(engine).commit(losses={"gap": 3})
    engine.dispose()
    status = _backwatch("db", "status", "--json", "--store-url", store_url)
    found = json.loads(status.stdout)
    assert (found["version"], found["losses"], found["shards"][0]["seq"]) == (migrate.head(), {"gap": 3}, 1)
    assert "@" not in found["store"]
    assert (
        _backwatch("db", "prune", BACKWATCH_STORE_URL=store_url).stdout
        == "rollup 0, event 0, quarantine 0, alert 0, process 0, partition_progress 0, resource 0\n"
    )
    assert "lost gap: 3" in _backwatch("db", "status", BACKWATCH_STORE_URL=store_url).stdout


@pytest.mark.parametrize(("url", "code"), [("postgresql://u:hunter2@127.0.0.1:1/d", 69), ("mysql://u:hunter2@h/d", 78)])
def test_db_fails_in_one_line_with_its_documented_code(url: str, code: int) -> None:
    for arguments in (("db", "status"), ("db", "upgrade")):
        done = _backwatch(*arguments, BACKWATCH_STORE_URL=url)
        assert code == done.returncode
        assert done.stderr.count("\n") == 1
        assert "BACKWATCH_STORE_URL" in done.stderr
        assert "hunter2" not in done.stderr


@pytest.mark.parametrize("command", [("db", "status"), ("db", "prune"), ("fit",), ("profile", "show")])
def test_readers_create_no_store_at_a_misspelt_path(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = _backwatch(*command, BACKWATCH_STORE_URL=f"sqlite:///{tmp_path}/sub/stroe.db")
    assert (done.returncode, done.stdout) == (69, "")
    assert f"Error: BACKWATCH_STORE_URL='sqlite:///{tmp_path}/sub/stroe.db': there is no such file" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
