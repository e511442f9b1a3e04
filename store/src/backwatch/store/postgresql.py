"""PostgreSQL connections that give up on a server which does not reply, and URLs that name several servers.

A server that is stopped or cut off leaves its connections open: the kernel acknowledges what is sent, so neither
keepalives nor ``tcp_user_timeout`` notice, and the server's own ``statement_timeout`` does not run. Without a deadline
of the client's a commit waits for ever.
"""

import logging
import re
import time
from collections.abc import Generator
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url

REPLY_TIMEOUT_S: Final = 20.0
"""Seconds of silence from the server after which a connection is given up."""
BYTES_PER_S: Final = 1 << 20
"""A server that must first write a large value may be silent for longer: a second for so many bytes."""
IDLE_TRANSACTION_TIMEOUT_S: Final = 30
"""Seconds after which the server ends a transaction whose client is silent: a stopped process holds its row locks."""
CONNECT_TIMEOUT_S: Final = 10
_SEVERAL_HOSTS: Final = re.compile(r"([^:/?#]+://(?:[^/?#]*@)?)([^@/?#]*,[^@/?#]*)([/?#].*)?")


class _Repeated(logging.Filter):
    """Drops what psycopg logs of errors that it ignores: the error before them is raised, and reported in one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("error ignored")


_repeated = _Repeated()


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed, with an error, once the server has been silent for too long."""

    sent_bytes = 0
    """Bytes of large values that the server has been sent in this transaction."""
    is_bounded = True

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        """Wait for the server as psycopg does, but not for ever."""
        return super().wait(self._bound(gen) if self.is_bounded else gen, *args, **kwargs)

    def _bound(self, replies: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        limit_s = REPLY_TIMEOUT_S + self.sent_bytes / BYTES_PER_S
        deadline_s = time.monotonic() + limit_s
        try:
            wanted = next(replies)
            while True:
                ready = yield wanted
                now_s = time.monotonic()
                if ready:  # otherwise psycopg only looks whether it was interrupted
                    deadline_s = now_s + limit_s
                elif now_s > deadline_s:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server has not replied for {limit_s:.0f} s")
                wanted = replies.send(ready)
        except StopIteration as finished:
            return finished.value


def parse_url(url: str) -> URL:
    """A URL as SQLAlchemy reads it; libpq's form with several hosts is understood too.

    >>> parse_url("postgresql://me@one:5433,two/shop?target_session_attrs=read-write").query["port"]
    '5433,5432'

    Raises:
        ArgumentError, ValueError: It is not a URL.
    """
    several = _SEVERAL_HOSTS.fullmatch(url)
    if several is None or not url.startswith("postgres"):
        return make_url(url)
    start, listed, rest = several.groups()
    hosts = [re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]*))?", host) for host in listed.split(",")]
    if not all(hosts):
        raise ValueError("a host of the URL cannot be read")
    places = {
        "host": ",".join(host[1].strip("[]") for host in hosts if host),
        "port": ",".join(host[2] or "5432" for host in hosts if host),
    }
    return make_url(f"{start}{rest or ''}").update_query_dict(places)


def open_postgresql(parsed: URL) -> sa.Engine:
    """An engine whose connections are bounded in time."""
    logging.getLogger("psycopg").addFilter(_repeated)
    defaults = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "backwatch"}
    engine = sa.create_engine(
        parsed,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={key: value for key, value in defaults.items() if key not in parsed.query},
    )

    @event.listens_for(engine, "do_connect")
    def _(_dialect: object, _record: object, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        connection = BoundedConnection.connect(*args, **named)
        try:
            connection.execute(
                "SELECT set_config('idle_in_transaction_session_timeout', %s, false)",
                [f"{IDLE_TRANSACTION_TIMEOUT_S}s"],
            )
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    @event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:
        _driver(connection).sent_bytes = 0

    @event.listens_for(engine, "before_cursor_execute")
    def _(connection: sa.Connection, _cursor: object, _text: str, parameters: Any, *_rest: object) -> None:
        rows = parameters if isinstance(parameters, list) else [parameters]
        _driver(connection).sent_bytes += sum(_large_bytes(row) for row in rows)

    return engine


def set_bounded(connection: sa.Connection, *, bounded: bool) -> None:
    """Whether the server may take its time, as it does for a migration of large tables."""
    if connection.dialect.name == "postgresql":
        _driver(connection).is_bounded = bounded


def _driver(connection: sa.Connection) -> BoundedConnection:
    driver = connection.connection.driver_connection
    if not isinstance(driver, BoundedConnection):
        raise TypeError(f"{type(driver).__name__} is no connection of this store")
    return driver


def _large_bytes(row: Any) -> int:
    # psycopg wraps bytes for a BYTEA column.
    values = (getattr(value, "obj", value) for value in (row.values() if isinstance(row, dict) else row or ()))
    return sum(len(value) for value in values if isinstance(value, (bytes, str)) and len(value) > 1 << 16)
