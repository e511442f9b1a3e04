"""psycopg 3: connections and pools, synchronous and asynchronous."""

import asyncio
import sys
from typing import Any, ClassVar, Final, NamedTuple

from backwatch.resource.errors import DriverMissing
from backwatch.resource.opening import Attachment, Session
from backwatch.resource.systems.postgresql import PostgreSQL, libpq_parameters, refuse_message
from backwatch.resource.systems.postgresql.bounded_reply import bound, refuse_rows
from backwatch.resource.systems.postgresql.certificate import read_certificate

PLACE: Final = ("host", "hostaddr", "port")


class Psycopg(PostgreSQL):
    """Opens with libpq's parameters and looks at ``connection.info`` afterwards."""

    module: ClassVar = "psycopg"
    package: ClassVar = "psycopg[binary]"
    rank: ClassVar = 10
    dialect: ClassVar = "postgresql+psycopg"
    async_dialect: ClassVar = "postgresql+psycopg_async"

    def connect(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``psycopg.Connection``."""
        connection = _classes(attachment).connection.connect(**_parameters(attachment, options))
        try:
            attachment.check_session(_read_session(connection))
        except BaseException:
            connection.close()
            raise
        return connection

    async def aconnect(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``psycopg.AsyncConnection``."""
        parameters = await asyncio.to_thread(_parameters, attachment, options)  # names are resolved
        connection = await _classes(attachment).async_connection.connect(**parameters)
        try:
            attachment.check_session(_read_session(connection))
        except BaseException:
            await connection.close()
            raise
        return connection

    def pool(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return an open ``psycopg_pool.ConnectionPool``; ``kwargs`` are parameters of its connections.

        One connection is opened first: a pool itself hides why it cannot connect.
        """
        pool = _import_pool(attachment)
        given = options.pop("kwargs", {})
        parameters = _parameters(attachment, given)
        self.connect(attachment, {}).close()
        return pool.ConnectionPool(
            kwargs=parameters,
            open=True,
            connection_class=_pool_classes(attachment, given).connection,
            configure=lambda one: attachment.check_session(_read_session(one)),
            **options,
        )

    async def apool(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return an open ``psycopg_pool.AsyncConnectionPool``. See :meth:`pool`."""
        pool = _import_pool(attachment)
        given = options.pop("kwargs", {})
        parameters = await asyncio.to_thread(_parameters, attachment, given)
        await (await self.aconnect(attachment, {})).close()

        async def check(connection: Any) -> None:
            attachment.check_session(_read_session(connection))

        opened = pool.AsyncConnectionPool(
            kwargs=parameters, open=False, configure=check,
            connection_class=_pool_classes(attachment, given).async_connection, **options,
        )  # fmt: skip
        await opened.open()
        return opened

    def refuse_error(self, attachment: Attachment, error: Exception) -> None:
        """Read libpq's message."""
        refuse_message(attachment, str(error))
        attachment.refuse_error(error)


class _Classes(NamedTuple):
    connection: Any
    async_connection: Any


def _classes(attachment: Attachment) -> _Classes:
    """Return psycopg's classes of connections; in mode enforce, with bounds on replies."""
    import psycopg

    if not attachment.policy.enforced:
        return _Classes(psycopg.Connection, psycopg.AsyncConnection)
    connection: Any = psycopg.Connection
    async_connection: Any = psycopg.AsyncConnection
    cursor: Any = psycopg.Cursor
    most = attachment.policy.count("max_rows")
    async_cursor: Any = psycopg.AsyncCursor

    class BoundCursor(cursor):
        """Refuses results with too many rows."""

        def execute(self, *arguments: Any, **options: Any) -> Any:
            found = super().execute(*arguments, **options)
            if self.rowcount > most and self.description:  # made anew each time: not on each call
                refuse_rows(attachment, self.rowcount)
            return found

    class BoundAsyncCursor(async_cursor):
        """Its asynchronous twin."""

        async def execute(self, *arguments: Any, **options: Any) -> Any:
            found = await super().execute(*arguments, **options)
            if self.rowcount > most and self.description:  # made anew each time: not on each call
                refuse_rows(attachment, self.rowcount)
            return found

    class BoundConnection(connection):
        """Refuses replies that are too long or too slow."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.cursor_factory = BoundCursor

        def wait(self, generator: Any, *arguments: Any, **options: Any) -> Any:
            return super().wait(bound(generator, self, attachment), *arguments, **options)

    class BoundAsyncConnection(async_connection):
        """Its asynchronous twin."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.cursor_factory = BoundAsyncCursor

        async def wait(self, generator: Any, *arguments: Any, **options: Any) -> Any:
            return await super().wait(bound(generator, self, attachment), *arguments, **options)

    return _Classes(BoundConnection, BoundAsyncConnection)


def _pool_classes(attachment: Attachment, given: dict[str, Any]) -> _Classes:
    """Return classes that resolve the host again for each connection: after a fail-over, its name leads elsewhere."""
    classes = _classes(attachment)
    if not attachment.policy.enforced:
        return classes
    connection, async_connection = classes

    class PooledConnection(connection):
        """A connection of a pool."""

        @classmethod
        def connect(cls, conninfo: str = "", **parameters: Any) -> Any:
            return super().connect(conninfo, **_move(parameters, _parameters(attachment, given)))

    class PooledAsyncConnection(async_connection):
        """Its asynchronous twin."""

        @classmethod
        async def connect(cls, conninfo: str = "", **parameters: Any) -> Any:
            fresh = await asyncio.to_thread(_parameters, attachment, given)
            return await super().connect(conninfo, **_move(parameters, fresh))

    return _Classes(PooledConnection, PooledAsyncConnection)


def _move(parameters: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in parameters.items() if name not in PLACE}
    return {**kept, **{name: fresh[name] for name in PLACE if name in fresh}}


def _import_pool(attachment: Attachment) -> Any:
    try:
        import psycopg_pool  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DriverMissing(f"{attachment.name}: a pool needs psycopg_pool; install psycopg[pool]") from None
    return psycopg_pool


def _parameters(attachment: Attachment, options: dict[str, Any]) -> dict[str, Any]:
    import psycopg

    return libpq_parameters(attachment, options, psycopg.pq.version())


def _read_session(connection: Any) -> Session:
    info = connection.info
    mode = info.get_parameters().get("sslmode", "")
    pgconn: Any = connection.pgconn
    module: Any = sys.modules[type(pgconn).__module__]  # psycopg_binary's, psycopg_c's, or the one over ctypes
    file = module.impl.pq._name if hasattr(module, "impl") else getattr(module, "__file__", None)
    return Session(
        tls=bool(pgconn.ssl_in_use),
        certificate=read_certificate(file, pgconn.pgconn_ptr) if pgconn.ssl_in_use else None,
        server_version=info.parameter_status("server_version") or "",
        verified={"verify-full": "full", "verify-ca": "chain"}.get(mode, "none"),
        address="" if info.host.startswith("/") else info.hostaddr,
    )
