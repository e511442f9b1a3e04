"""How often judging began since a shard's last commit, and which record was being judged when its detector died.

An exception is met inside the process. A record that kills the process, or that it is killed over, leaves nothing but
this: written before the record is judged, taken back once it was.
"""

import json
from dataclasses import dataclass, replace

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.transactions import writing
from backwatch.store.upsert import insert_or_replace

NO_OFFSET = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """What was tried since a shard's commit ``seq``.

    Attributes:
        loads: How often it was loaded and records were judged, this time included. Loads of an idle shard do not count.
        offset: The record that was being judged; ``NO_OFFSET``: none was noted.
        tries: How often that record was begun.
    """

    seq: int
    loads: int = 0
    offset: int = NO_OFFSET
    tries: int = 0


def read(connection: sa.Connection, shard: int, seq: int) -> Attempts:
    """Return what was tried since this commit of the shard."""
    table = tables.meta
    return _read(connection.scalar(sa.select(table.c.value).where(table.c.name == _name(shard))), seq)


def count_load(engine: sa.Engine, shard: int, before: Attempts) -> Attempts:
    """Note that a shard which was loaded begins to judge records: until it commits, that is an attempt."""
    counted = replace(before, loads=before.loads + 1)
    with writing(engine) as connection:
        _write(connection, shard, counted)
    return counted


def begin(engine: sa.Engine, shard: int, before: Attempts, *, seq: int, offset: int) -> Attempts:
    """Note that this record is about to be judged, on top of commit ``seq``."""
    again = before.seq == seq and before.offset == offset
    begun = Attempts(seq=seq, loads=before.loads, offset=offset, tries=before.tries + 1 if again else 1)
    with writing(engine) as connection:
        _write(connection, shard, begun)
    return begun


def end(engine: sa.Engine, shard: int, begun: Attempts) -> Attempts:
    """Note that the record was judged: a death from here on, in the commit, is not over it."""
    judged = Attempts(seq=begun.seq, loads=begun.loads)
    with writing(engine) as connection:
        _write(connection, shard, judged)
    return judged


def _name(shard: int) -> str:
    return f"attempts/{shard}"


def _write(connection: sa.Connection, shard: int, attempts: Attempts) -> None:
    text = json.dumps([attempts.seq, attempts.loads, attempts.offset, attempts.tries])
    insert_or_replace(connection, tables.meta, [{"name": _name(shard), "value": text.encode()}])


def _read(value: bytes | None, seq: int) -> Attempts:
    if value is None:
        return Attempts(seq=seq)
    noted_seq, loads, offset, tries = json.loads(bytes(value))
    return Attempts(seq=seq, loads=loads, offset=offset, tries=tries) if noted_seq == seq else Attempts(seq=seq)
