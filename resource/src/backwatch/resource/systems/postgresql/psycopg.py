"""psycopg 3: connections and pools, synchronous and asynchronous."""

import asyncio
from typing import Any, ClassVar

from backwatch.resource.errors import DriverMissing
from backwatch.resource.opening import Attachment, Session
from backwatch.resource.systems.postgresql import PostgreSQL, libpq_parameters, refuse_message


class Psycopg(PostgreSQL):
    """Opens with libpq's parameters and looks at ``connection.info`` afterwards."""

    module: ClassVar = "psycopg"
    package: ClassVar = "psycopg[binary]"
    rank: ClassVar = 10
    dialect: ClassVar = "postgresql+psycopg"
    async_dialect: ClassVar = "postgresql+psycopg_async"
    cannot: ClassVar = {"pin": "libpq shows no certificate"}

    def connect(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``psycopg.Connection``."""
        import psycopg

        connection = psycopg.connect(**_parameters(attachment, options))
        try:
            attachment.check_session(_read_session(connection))
        except BaseException:
            connection.close()
            raise
        return connection

    async def aconnect(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``psycopg.AsyncConnection``."""
        import psycopg

        parameters = await asyncio.to_thread(_parameters, attachment, options)  # names are resolved
        connection = await psycopg.AsyncConnection.connect(**parameters)
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
        parameters = _parameters(attachment, options.pop("kwargs", {}))
        self.connect(attachment, {}).close()
        return pool.ConnectionPool(
            kwargs=parameters, open=True, configure=lambda one: attachment.check_session(_read_session(one)), **options
        )

    async def apool(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return an open ``psycopg_pool.AsyncConnectionPool``. See :meth:`pool`."""
        pool = _import_pool(attachment)
        parameters = await asyncio.to_thread(_parameters, attachment, options.pop("kwargs", {}))
        await (await self.aconnect(attachment, {})).close()

        async def check(connection: Any) -> None:
            attachment.check_session(_read_session(connection))

        opened = pool.AsyncConnectionPool(kwargs=parameters, open=False, configure=check, **options)
        await opened.open()
        return opened

    def refuse_error(self, attachment: Attachment, error: Exception) -> None:
        """Read libpq's message."""
        refuse_message(attachment, str(error))
        attachment.refuse_error(error)


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
    return Session(
        tls=bool(connection.pgconn.ssl_in_use),
        verified={"verify-full": "full", "verify-ca": "chain"}.get(mode, "none"),
        address="" if info.host.startswith("/") else info.hostaddr,
    )
