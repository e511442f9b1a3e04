"""psycopg2: connections and thread-safe pools."""

from typing import Any, ClassVar

from backwatch.resource.opening import Attachment, Session, read_peer
from backwatch.resource.systems.postgresql import PostgreSQL, libpq_parameters, refuse_message


class Psycopg2(PostgreSQL):
    """Opens with libpq's parameters and looks at ``connection.info`` afterwards."""

    module: ClassVar = "psycopg2"
    package: ClassVar = "psycopg2-binary"
    rank: ClassVar = 20
    dialect: ClassVar = "postgresql+psycopg2"
    cannot: ClassVar = {"pin": "libpq shows no certificate"}

    def connect(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``psycopg2.extensions.connection``."""
        import psycopg2

        return self._check(attachment, psycopg2.connect(**self._parameters(attachment, options)))

    def pool(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``psycopg2.pool.ThreadedConnectionPool``; options are its own and libpq's."""
        import psycopg2.pool

        driver = self
        base: Any = psycopg2.pool.ThreadedConnectionPool
        minimum, maximum = options.pop("minconn", 1), options.pop("maxconn", 10)

        class Pool(base):
            """Its own connections, each checked when it is opened."""

            def _connect(self, key: Any = None) -> Any:
                return driver._check(attachment, super()._connect(key))

        return Pool(minimum, maximum, **self._parameters(attachment, options))

    def refuse_error(self, attachment: Attachment, error: Exception) -> None:
        """Read libpq's message."""
        refuse_message(attachment, str(error))
        attachment.refuse_error(error)

    def _parameters(self, attachment: Attachment, options: dict[str, Any]) -> dict[str, Any]:
        import psycopg2.extensions

        return libpq_parameters(attachment, options, psycopg2.extensions.libpq_version())

    def _check(self, attachment: Attachment, connection: Any) -> Any:
        try:
            attachment.check_session(_read_session(connection))
        except BaseException:
            connection.close()
            raise
        return connection


def _read_session(connection: Any) -> Session:
    info = connection.info
    mode = info.dsn_parameters.get("sslmode", "")
    version = info.ssl_attribute("protocol") if info.ssl_in_use else ""
    return Session(
        tls=bool(info.ssl_in_use),
        version=(version or "").removeprefix("TLSv"),
        verified={"verify-full": "full", "verify-ca": "chain"}.get(mode, "none"),
        address=read_peer(connection.fileno()),
    )
