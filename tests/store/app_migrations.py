"""An app with migrations of its own, and tables whose names the store once used too."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

ENVIRONMENT = """
from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
"""
REVISION = """
import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {before!r}


def upgrade():
    op.create_table({table!r}, sa.Column("id", sa.Integer, primary_key=True), sa.Column("note", sa.Text))
    op.create_index("ix_{table}_note", {table!r}, ["note"])
"""


class AppMigrations:
    """The app's Alembic folder: its first revision makes the table ``alert``, its second one the table ``event``."""

    def __init__(self, folder: Path) -> None:
        (folder / "versions").mkdir(parents=True)
        (folder / "env.py").write_text(ENVIRONMENT)
        before = None
        for revision, table in (("a1", "alert"), ("b2", "event")):
            text = REVISION.format(revision=revision, before=before, table=table)
            (folder / "versions" / f"{revision}.py").write_text(text)
            before = revision
        self._config = Config()
        self._config.set_main_option("script_location", str(folder))
        self._config.set_main_option("path_separator", "os")

    def upgrade(self, engine: sa.Engine, revision: str) -> None:
        """Run the app's own ``alembic upgrade``."""
        with engine.begin() as connection:
            self._config.attributes["connection"] = connection
            command.upgrade(self._config, revision)

    def stamp(self, engine: sa.Engine, revision: str) -> None:
        """Run ``alembic stamp --purge``, by which an app gets rid of a row that is not its own."""
        with engine.begin() as connection:
            self._config.attributes["connection"] = connection
            command.stamp(self._config, revision, purge=True)
