"""Alembic's entry: migrates over the connection, and within the transaction, that it is handed."""

from alembic import context

from backwatch.store.tables import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite alters a table by making it anew
    transactional_ddl=True,
)
context.run_migrations()
