"""Brings the store's tables to the version that this code knows, under a lock, in one transaction."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from backwatch.collector.settings import SettingError
from backwatch.store.transactions import writing

_LOCK: Final = 0x6261636B77617463
"""Advisory lock of whoever migrates a PostgreSQL store; SQLite's writers exclude each other anyway."""


def head() -> str:
    """The version that this code knows."""
    found = ScriptDirectory.from_config(_config()).get_current_head()
    if found is None:
        raise RuntimeError("the package holds no migrations")
    return found


def current(connection: sa.Connection) -> str | None:
    """The store's version; ``None`` for a store without tables."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: sa.Engine) -> tuple[str | None, str]:
    """Applies what is missing, whole or not at all; two that start at once do it once.

    Returns:
        The version before, and the one after.

    Raises:
        SettingError: The store is newer than this code.
    """
    config = _config()
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        before, after = current(connection), head()
        if before != after:
            _refuse_newer(before, "BACKWATCH_STORE_URL")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before, after


def require_current(engine: sa.Engine, name: str) -> None:
    """Gives an empty store its tables; refuses one of another version.

    Args:
        engine: The store.
        name: How to call it in the refusal.
    """
    with engine.connect() as connection:
        found = current(connection)
    if found is None:
        upgrade(engine)
    elif found != head():
        _refuse_newer(found, name)
        raise SettingError(f"{name}: its tables are of version {found}, this is {head()}: run `backwatch db upgrade`")


def _refuse_newer(found: str | None, name: str) -> None:
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
