"""PostgreSQL that is stopped, restarted, read-only or failed over: commits wait, and nothing is lost or doubled."""

import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Generator, Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from backwatch.store import migrate, postgresql, shards, tables
from backwatch.store.commit import Fenced
from backwatch.store.connect import StoreFull, StoreUnavailable, open_store
from backwatch.store.transactions import reading, writing
from tests.services.commits import Owner, commit, make_raised
from tests.services.databases import fresh_database
from tests.services.databases.postgresql_pair import Pair, serve_pair
from tests.services.faults.disk import Disk, small_disk
from tests.services.process import account, give, private_folder
from tests.services.server import PREFIX, MissingServerError, Server


@pytest.fixture
def store(postgresql_database: str) -> Iterator[sa.Engine]:
    engine = open_store(postgresql_database)
    yield engine
    engine.dispose()


def backend(engine: sa.Engine) -> int:
    """Process id of the server's process behind the pooled connection."""
    with reading(engine) as connection:
        return connection.scalar(sa.text("select pg_backend_pid()")) or 0


@contextlib.contextmanager
def stop(process: int) -> Generator[None]:
    try:
        os.kill(process, signal.SIGSTOP)
    except (PermissionError, ProcessLookupError):
        pytest.skip("the server's processes are not of this machine or account")
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_commit_to_a_stopped_server_gives_up_and_can_be_repeated(
    store: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "REPLY_TIMEOUT_S", 1.0)
    owner = Owner(store)
    with stop(backend(store)):
        start_s = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"BACKWATCH_STORE_URL=.*has not replied for 1 s"):
            owner.commit(make_raised())
        assert time.monotonic() - start_s < 30
        owner.commit(make_raised())
    assert Owner(store).seq == 1


def test_server_may_be_silent_for_longer_after_a_large_commit(
    store: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "REPLY_TIMEOUT_S", 1.0)
    monkeypatch.setattr(postgresql, "BYTES_PER_S", 1 << 16)
    owner, process = Owner(store), backend(store)

    @event.listens_for(store, "before_cursor_execute")
    def _(_connection: object, _cursor: object, text: str, *_rest: object) -> None:
        if text.startswith("INSERT INTO backwatch_shard_delta"):
            os.kill(process, signal.SIGSTOP)
            threading.Timer(3, os.kill, (process, signal.SIGCONT)).start()

    owner.commit(delta=bytes(1 << 20))
    assert Owner(store).seq == 1


def test_server_stopped_within_a_commit_holds_it_up_but_doubles_nothing(
    store: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "REPLY_TIMEOUT_S", 1.0)
    owner, one = Owner(store), commit(0, delta=b"x")
    process = backend(store)
    other = open_store(store.url.render_as_string(hide_password=False).replace("+psycopg", ""))

    @event.listens_for(store, "before_cursor_execute")
    def _(_connection: object, _cursor: object, text: str, *_rest: object) -> None:
        if "shard_delta" in text:  # the fence has been taken, and with it the row's lock
            os.kill(process, signal.SIGSTOP)

    try:
        for engine in (store, other):
            with pytest.raises(StoreUnavailable, match="has not replied"):
                shards.commit(engine, one, now_ns=1)
    finally:
        os.kill(process, signal.SIGCONT)
    deadline_s = time.monotonic() + 30
    while True:
        try:
            shards.commit(other, one, now_ns=1)
            break
        except StoreUnavailable:
            assert time.monotonic() < deadline_s
    assert (owner.seq, Owner(other).seq) == (0, 1)
    other.dispose()


def test_transaction_of_a_stopped_client_ends_and_frees_its_shard(
    postgresql_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "IDLE_TRANSACTION_TIMEOUT_S", 1)
    zombie, survivor = open_store(postgresql_database), open_store(postgresql_database)
    Owner(zombie)
    with pytest.raises(StoreUnavailable), writing(zombie) as connection:  # noqa: PT012  its end raises too
        shards.load(connection, 0)  # holds the row's lock, as a detector does that is stopped here
        Owner(survivor).commit()
        connection.execute(sa.text("select 1"))
    assert Owner(survivor).seq == 1
    for engine in (zombie, survivor):
        engine.dispose()


@pytest.mark.parametrize(
    ("sqlstate", "error"),
    [("53100", StoreFull), ("53200", StoreUnavailable), ("58030", StoreUnavailable), ("40P01", StoreUnavailable),
     ("42501", StoreUnavailable), ("57014", StoreUnavailable), ("25006", StoreUnavailable)],
)  # fmt: skip
def test_failure_that_passes_is_raised_as_one_clear_line(store: sa.Engine, sqlstate: str, error: type[OSError]) -> None:
    fresh_database.postgresql_sql(
        store.url.render_as_string(hide_password=False).replace("+psycopg", ""),
        "create function fail() returns trigger language plpgsql as $$ begin "
        f"raise exception 'the server gives up' using errcode = '{sqlstate}'; end $$; "
        "create trigger fail before insert on backwatch_alert for each row execute function fail()",
    )
    owner = Owner(store)
    with pytest.raises(error, match="BACKWATCH_STORE_URL") as caught:
        owner.commit(make_raised())
    assert "\n" not in str(caught.value)
    with writing(store) as connection:
        connection.execute(sa.text("drop trigger fail on backwatch_alert"))
    owner.commit(make_raised())
    assert Owner(store).seq == 1


def test_error_ignored_by_the_driver_is_not_logged_beside_its_own(
    store: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    driver = store.raw_connection().driver_connection
    assert isinstance(driver, psycopg.Connection)

    def break_off() -> None:
        with driver.pipeline():
            driver.execute("SELECT 1")
            driver.pgconn.finish()
            driver.execute("SELECT 2")

    with pytest.raises(psycopg.Error):
        break_off()
    assert [record.message for record in caplog.records if record.name.startswith("psycopg")] == []


def test_url_with_several_hosts_reaches_the_one_that_takes_writes(postgresql_database: str) -> None:
    start, _, rest = postgresql_database.rpartition("@")
    hosts, _, name = rest.partition("/")
    engine = open_store(f"{start}@127.0.0.1:1,{hosts}/{name}?target_session_attrs=read-write")
    Owner(engine).commit()
    engine.dispose()


@contextlib.contextmanager
def open_pair(pair: Pair) -> Generator[sa.Engine]:
    engine = open_store(pair.url, check=False)
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


def commit_until_taken(owner: Owner, key: str) -> None:
    """Repeat the same commit while the store is away, as a detector does; a fenced owner raises."""
    deadline_s = time.monotonic() + 60
    while True:
        try:
            return owner.commit(make_raised(key))
        except StoreUnavailable:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)


def counts(engine: sa.Engine) -> dict[str, int]:
    with reading(engine) as connection:
        query = sa.select(tables.alert.c.key, tables.alert.c.count.label("times"))
        return {row.key: row.times for row in connection.execute(query)}


def counts_so_far(standby: sa.Engine) -> dict[str, int]:
    """What the standby shows, which may not have the tables yet."""
    with contextlib.suppress(StoreUnavailable):
        return counts(standby)
    return {}


def has_receiver(standby: sa.Engine) -> bool:
    """Whether the standby is connected to the primary."""
    with reading(standby) as connection:
        return bool(connection.scalar(sa.text("select count(*) from pg_stat_wal_receiver")))


def test_failover_to_a_synchronous_standby_loses_and_doubles_no_commit() -> None:
    with serve_pair(synchronous=True) as pair, open_pair(pair) as engine:
        owner = Owner(engine)
        for number in range(5):
            commit_until_taken(owner, f"k{number}")
        pair.fail_over()
        for number in range(5, 10):
            commit_until_taken(owner, f"k{number}")
        assert counts(engine) == {f"k{number}": 1 for number in range(10)}
        assert Owner(engine).seq == 10


def test_commits_that_the_standby_had_not_received_are_made_again_once() -> None:
    with serve_pair(synchronous=False) as pair, open_pair(pair) as engine:
        owner = Owner(engine)
        commit_until_taken(owner, "k0")
        standby = open_store(pair.standby.url, check=False)
        deadline_s = time.monotonic() + 30
        while counts_so_far(standby) != {"k0": 1}:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        pair.standby.execute("alter system set primary_conninfo = ''")  # commits from here on never reach it
        pair.standby.execute("select pg_reload_conf()")
        while has_receiver(standby):
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        standby.dispose()
        for number in range(1, 4):
            commit_until_taken(owner, f"k{number}")
        pair.fail_over()
        with pytest.raises(Fenced):
            commit_until_taken(owner, "k4")
        again = Owner(engine)
        assert again.state.next_offset == 1
        for number in range(1, 5):
            commit_until_taken(again, f"k{number}")
        assert counts(engine) == {f"k{number}": 1 for number in range(5)}


def test_standby_is_named_as_read_only_and_taken_once_promoted() -> None:
    with serve_pair(synchronous=True) as pair, open_pair(pair) as engine:
        Owner(engine).commit(make_raised("k0"))
        owner = Owner(engine)
        elsewhere = open_store(pair.standby.url, must_exist=True)  # a reader may
        assert counts(elsewhere) == {"k0": 1}
        owner.engine = elsewhere
        with pytest.raises(StoreUnavailable, match=r"BACKWATCH_STORE_URL.*(read-only|recovery)"):
            owner.commit(make_raised("k1"))
        pair.fail_over()
        commit_until_taken(owner, "k1")
        assert counts(elsewhere) == {"k0": 1, "k1": 1}
        elsewhere.dispose()


@pytest.fixture
def small_tablespace(postgresql: Server) -> Iterator[tuple[str, Disk]]:
    """A database on a disk of its own, and that disk."""
    user = account("postgres")
    with private_folder("postgresql", user) as folder:
        try:
            with small_disk(folder / "disk", 32_000_000) as disk:
                give(disk.folder, user)
                name = f"t_{secrets.token_hex(6)}"
                fresh_database.postgresql_sql(postgresql.url, f"create tablespace {name} location '{disk.folder}'")
                fresh_database.postgresql_sql(postgresql.url, f"create database {name} tablespace {name}")
                yield urlsplit(postgresql.url)._replace(path=f"/{name}").geturl(), disk
                fresh_database.postgresql_sql(postgresql.url, f"drop database {name} with (force)")
                fresh_database.postgresql_sql(postgresql.url, f"drop tablespace {name}")
        except MissingServerError as missing:
            pytest.skip(PREFIX + str(missing))


def test_commit_can_be_repeated_after_a_full_disk_kept_nothing(
    small_tablespace: tuple[str, Disk],
) -> None:
    url, disk = small_tablespace
    engine = open_store(url)
    owner, large = Owner(engine), os.urandom(2_000_000)
    owner.commit(make_raised(), delta=b"kept")
    disk.fill()
    with pytest.raises(StoreFull, match=r"BACKWATCH_STORE_URL=.*the disk is full"):
        owner.commit(make_raised("other"), delta=large)
    assert (Owner(engine).seq, counts(engine)) == (1, {"k": 1})
    disk.free()
    owner.commit(make_raised("other"), delta=large)
    assert counts(engine) == {"k": 1, "other": 1}
    assert Owner(engine).state.deltas == [b"kept", large]
    engine.dispose()
