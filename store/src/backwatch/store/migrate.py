"""Brings the store's tables to the version that this code knows, under a lock, in one transaction."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from backwatch.collector.settings import SettingError
from backwatch.store.failures import StoreUnavailable
from backwatch.store.legacy import find_legacy_revision, rename_legacy_tables
from backwatch.store.tables import VERSION_TABLE
from backwatch.store.transactions import allow_silence, writing

_LOCK: Final = 0x6261636B77617463
"""Advisory lock of a migration of a PostgreSQL store; SQLite's writers exclude each other anyway."""

_WITHOUT_PREFIX: Final = "its tables are from before they had a prefix"


def head() -> str:
    """The version that this code knows."""
    found = ScriptDirectory.from_config(_config()).get_current_head()
    if found is None:
        raise RuntimeError("the package holds no migrations")
    return found


def configure_context(connection: sa.Connection) -> MigrationContext:
    """Alembic's view of the store: its version table is not the one that an app's own migrations use."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})


def get_version(connection: sa.Connection) -> str | None:
    """The store's version; ``None`` for a database without a store. Reads, and writes nothing."""
    return configure_context(connection).get_current_revision() or find_legacy_revision(connection)


def upgrade(engine: sa.Engine) -> tuple[str | None, str]:
    """Applies what is missing, whole or not at all; two that start at once do it once.

    Returns:
        The version before, and the one after.

    Raises:
        SettingError: The store is newer than this code.
    """
    config = _config()
    with writing(engine) as connection, allow_silence(connection):
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        before, after = get_version(connection), head()
        _adopt_legacy(connection)
        if before != after:
            refuse_newer(before, "BACKWATCH_STORE_URL")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before, after


def _adopt_legacy(connection: sa.Connection) -> None:
    """Turn a store from before the prefix into one of the same revision with it."""
    context = configure_context(connection)
    revision = None if context.get_current_revision() else find_legacy_revision(connection)
    if revision is not None:
        rename_legacy_tables(connection, revision)
        context.stamp(ScriptDirectory.from_config(_config()), revision)


def require_current(engine: sa.Engine, name: str, *, create: bool = True) -> None:
    """Refuses a store of another version; an empty database is given its tables, or refused too.

    Args:
        engine: The store.
        name: How to call it in the refusal.
        create: Give an empty database its tables; a reader does not.

    Raises:
        SettingError: The tables are older or newer than this code.
        StoreUnavailable: There is no store in the database, and none is to be made.
    """
    with engine.connect() as connection:
        found = get_version(connection)
        needs_names = found is not None and configure_context(connection).get_current_revision() is None
    if found is None:
        if not create:
            raise StoreUnavailable(f"{name}: holds no Backwatch store; `backwatch db upgrade` makes one")
        upgrade(engine)
    elif found != head() or needs_names:
        refuse_newer(found, name)
        reason = f"its tables are of version {found}, this is {head()}" if found != head() else _WITHOUT_PREFIX
        raise SettingError(f"{name}: {reason}: run `backwatch db upgrade`")


def refuse_newer(found: str | None, name: str) -> None:
    """Raise ``SettingError`` for a version that this code does not know."""
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise SettingError(
            f"{name}: its tables are of version {found[:40]!r}, newer than this Backwatch: update Backwatch"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
