"""What an installation is born with: its key, made once, in the store and nowhere else."""

import secrets

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.transactions import writing
from backwatch.store.upsert import insert_missing

_KEY = "installation_key"


def installation_key(engine: sa.Engine) -> bytes:
    """16 random bytes that key the addresses inside every detector's process; made once, the same ever after."""
    table = tables.meta
    query = sa.select(table.c.value).where(table.c.name == _KEY)
    with engine.connect() as connection:
        found = connection.scalar(query)
    if found is None:
        with writing(engine) as connection:
            insert_missing(connection, table, [{"name": _KEY, "value": secrets.token_bytes(16)}])
            found = connection.scalars(query).one()
    return bytes(found)
