"""Commits for tests of the store and its readers."""

import hashlib
from typing import Any

import sqlalchemy as sa

from backwatch.store import shards
from backwatch.store.commit import AlertRound, ClearedAlert, Commit, Occurrence, RaisedAlert
from backwatch.store.transactions import writing


def alert_id(rule: str, key: str) -> str:
    """Return the state as the engine creates it."""
    return hashlib.sha256(f"{rule}\x1e{key}".encode()).hexdigest()


def make_raised(
    key: str = "k", *, rule: str = "unusual-query", at_ns: int = 1_000, count: int = 1, **more: Any
) -> RaisedAlert:
    """Return a rule that fired ``count`` times, one nanosecond apart, the last time at ``at_ns``."""
    first_ns = at_ns - count + 1
    occurrences = [
        Occurrence(time_ns=first_ns + index, trace_id=f"{index:032x}", span_id=f"{index:016x}", evidence={"n": index})
        for index in range(max(0, count - 50), count)
    ]
    values: dict[str, Any] = {
        "alert_id": alert_id(rule, key), "rule": rule, "level": "high", "resource_id": hashlib.sha256(b"r").hexdigest(),
        "app": "shop", "resource": "postgresql db:5432/shop", "key": key, "count": count, "first_ns": first_ns,
        "last_ns": at_ns, "occurrences": occurrences,
    }  # fmt: skip
    return RaisedAlert(**{**values, **more})


def make_cleared(key: str = "k", *, rule: str = "unusual-query", at_ns: int = 2_000) -> ClearedAlert:
    """Return the same rule and key, cleared."""
    return ClearedAlert(alert_id=alert_id(rule, key), time_ns=at_ns)


def commit(seq: int = 0, *, shard: int = 0, **more: Any) -> Commit:
    """Return a commit that moves the offset by one and changes only what the arguments name."""
    values: dict[str, Any] = {
        "shard": shard, "seq": seq, "next_offset": seq + 1, "watermark_ns": seq, "entry_id": 0, "delta": b"",
    }  # fmt: skip
    return Commit(**{**values, **more})


class Owner:
    """The owner of a shard, as the detector is one."""

    def __init__(self, engine: sa.Engine, shard: int = 0) -> None:
        self.engine = engine
        self.shard = shard
        with writing(engine) as connection:
            self.state = shards.load(connection, shard)
        self.seq = self.state.seq

    def commit(self, *rounds: AlertRound | RaisedAlert | ClearedAlert, now_ns: int = 5_000, **more: Any) -> None:
        """Commit these rounds; a lone firing or clearing is a separate round."""
        turns = [
            one
            if isinstance(one, AlertRound)
            else AlertRound(raised=[one])
            if isinstance(one, RaisedAlert)
            else AlertRound(cleared=[one])
            for one in rounds
        ]
        shards.commit(self.engine, commit(self.seq, shard=self.shard, rounds=turns, **more), now_ns=now_ns)
        self.seq += 1
