"""A database that belongs to an app: readers change nothing in it, and the store's tables stand beside the app's."""

import ast
import hashlib
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata

from backwatch.collector.settings import SettingError
from backwatch.store import migrate, tables
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.transactions import reading
from tests.services.databases import fresh_database, postgresql
from tests.services.process import ROOT, binary
from tests.store.app_migrations import AppMigrations
from tests.system.commands import run_command

LEGACY = Path(__file__).with_name("legacy")
"""Stores that commit 990e6bf made and filled, the last one without the prefix; as ``pg_dump --inserts`` wrote them."""
READERS = (("db", "status"), ("db", "status", "--json"), ("db", "prune"), ("notify",), ("notify", "--once"),
           ("dashboard",), ("fit",), ("profile", "show"))  # fmt: skip
WEBHOOK = {
    "BACKWATCH_WEBHOOK_URL": "https://receiver.example/",
    "BACKWATCH_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


@pytest.fixture
def engine(store_url: str) -> Iterator[sa.Engine]:
    """The same database, past the store."""
    engine = plain_engine(store_url)
    yield engine
    engine.dispose()


def plain_engine(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


def content(url: str) -> bytes:
    """All that a database holds, definitions and rows."""
    if url.startswith("sqlite"):
        folder = Path(url.removeprefix("sqlite:///")).parent
        files = {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.glob("store.db*")}
        return repr(sorted(files.items())).encode()
    dump = binary("postgresql", "pg_dump", *postgresql.programs())
    done = subprocess.run([dump, "--inserts", url], capture_output=True, check=True, timeout=60)
    return b"\n".join(line for line in done.stdout.splitlines() if not line.startswith(b"\\"))  # random: \restrict


def load_legacy(url: str) -> None:
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        connection.executescript((LEGACY / "sqlite.sql").read_text())
        connection.close()
    else:
        fresh_database.postgresql_sql(url, (LEGACY / "postgresql.sql").read_text())


def rows(engine: sa.Engine, prefix: str = "") -> dict[str, list[Any]]:
    """The rows of the tables that a legacy store has."""
    with engine.connect() as connection:
        return {
            name: sorted(map(tuple, connection.exec_driver_sql(f'SELECT * FROM "{prefix}{name}"')), key=repr)
            for name in (one.name.removeprefix(tables.PREFIX) for one in tables.metadata.sorted_tables)
            if sa.inspect(connection).has_table(prefix + name)
        }


def names_in(engine: sa.Engine) -> set[str]:
    """Tables, indexes and constraints, as far as they have a name that others must not use."""
    if engine.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    else:
        query = ("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace UNION "
                 "SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace")  # fmt: skip
    with engine.connect() as connection:
        return set(connection.exec_driver_sql(query).scalars())


@pytest.mark.parametrize("command", READERS, ids=" ".join)
def test_reader_refuses_an_apps_database_and_changes_nothing(
    tmp_path: Path, store_url: str, engine: sa.Engine, command: tuple[str, ...]
) -> None:
    AppMigrations(tmp_path / "app").upgrade(engine, "a1")
    engine.dispose()
    before = content(store_url)
    done = run_command(*command, BACKWATCH_STORE_URL=store_url, **WEBHOOK)
    assert content(store_url) == before
    assert (done.code, done.out, done.err.count("\n")) == (69, "", 1)
    assert done.err.startswith("Error: BACKWATCH_STORE_URL=")
    assert "holds no Backwatch store; `backwatch db upgrade` makes one" in done.err


def test_store_and_app_share_a_database(tmp_path: Path, store_url: str, engine: sa.Engine) -> None:
    app = AppMigrations(tmp_path / "app")
    app.upgrade(engine, "a1")
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO alert (id, note) VALUES (7, 'of the app')")
    migrate.upgrade(open_store(store_url, check=False))
    app.upgrade(engine, "b2")
    assert run_command("db", "status", BACKWATCH_STORE_URL=store_url).code == 0
    others = {name for name in names_in(engine) if "backwatch_" not in name}
    assert {one.split("_note")[0] for one in others if "alembic" not in one} >= {"alert", "event", "ix_alert"}
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT id, note FROM alert").all() == [(7, "of the app")]
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == ["b2"]


def test_store_without_prefix_is_upgraded_in_place_with_all_its_rows(store_url: str, engine: sa.Engine) -> None:
    load_legacy(store_url)
    before, dump = rows(engine), content(store_url)
    assert len(before["occurrence"]) == 2
    with pytest.raises(SettingError, match="run `backwatch db upgrade`"):
        open_store(store_url, must_exist=True)
    assert content(store_url) == dump
    store = open_store(store_url, check=False)
    assert migrate.upgrade(store) == ("0005", migrate.head())
    after = rows(engine, tables.PREFIX)
    for name, found in before.items():  # later revisions add columns, at the end
        assert [row[: len(found[0])] for row in after[name]] == found if found else after[name] == []
    assert {name for name in names_in(engine) if "backwatch_" not in name} <= {"alembic_version", "alembic_version_pkc"}
    with reading(store) as connection:
        changes = compare_metadata(migrate.configure_context(connection), tables.metadata)
        assert [one[1].name for one in changes] == ["alembic_version"]  # is not the store's, and empty
        assert connection.exec_driver_sql("SELECT count(*) FROM alembic_version").scalar() == 0
    assert migrate.upgrade(store)[0] == migrate.head()
    store.dispose()


def test_row_of_an_app_in_alembic_version_survives_the_upgrade(
    tmp_path: Path, store_url: str, engine: sa.Engine
) -> None:
    load_legacy(store_url)
    app = AppMigrations(tmp_path / "app")
    with pytest.raises(Exception, match="Can't locate revision"):
        app.upgrade(engine, "a1")  # what the store's row did to the app
    before = rows(engine)["shard"]
    app.stamp(engine, "base")
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('a0')")
    assert migrate.upgrade(open_store(store_url, check=False)) == ("0005", migrate.head())
    assert [row[: len(before[0])] for row in rows(engine, tables.PREFIX)["shard"]] == before
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == ["a0"]
    app.stamp(engine, "base")
    app.upgrade(engine, "b2")


def test_tables_of_an_app_are_never_taken_for_a_legacy_store(store_url: str, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        for name in sorted(one.name.removeprefix(tables.PREFIX) for one in tables.metadata.sorted_tables):
            connection.exec_driver_sql(f'CREATE TABLE "{name}" (id integer)')
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num varchar(32))")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('0005')")
    before = names_in(engine)
    with pytest.raises(StoreUnavailable, match="holds no Backwatch store"):
        open_store(store_url, must_exist=True)
    assert migrate.upgrade(open_store(store_url, check=False))[0] is None
    assert names_in(engine) > before
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == ["0005"]


MEMBERS = ("store", "detector", "notify", "dashboard", "docker", "attack/src/backwatch/attack/command.py")
OPENERS_THAT_CREATE = {
    "detector/src/backwatch/detector/command.py:detect",
    "store/src/backwatch/store/command.py:upgrade",
    "store/src/backwatch/store/command.py:restore",
    "attack/src/backwatch/attack/command.py:_keep_up",
}


def test_only_four_commands_open_a_store_that_need_not_exist() -> None:
    paths = [path for one in MEMBERS for path in ([ROOT / one] if one.endswith(".py") else (ROOT / one).rglob("*.py"))]
    found = {
        f"{path.relative_to(ROOT)}:{function.name}"
        for path in paths
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and may_create(function)
    }
    assert found == OPENERS_THAT_CREATE


def may_create(function: ast.AST) -> bool:
    return any(
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("open_store", "_open_for_command")
        and not any(keyword.arg == "must_exist" for keyword in call.keywords)
        for call in ast.walk(function)
    )
