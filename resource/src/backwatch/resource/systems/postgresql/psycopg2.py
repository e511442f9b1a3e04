"""psycopg2: connections and thread-safe pools."""

from typing import Any, ClassVar

from backwatch.resource.opening import Attachment, Session, read_peer
from backwatch.resource.systems.postgresql import PostgreSQL, libpq_parameters, refuse_message
from backwatch.resource.systems.postgresql.bounded_reply import refuse_rows
from backwatch.resource.systems.postgresql.certificate import read_certificate


class Psycopg2(PostgreSQL):
    """Opens with libpq's parameters and looks at ``connection.info`` afterwards."""

    module: ClassVar = "psycopg2"
    package: ClassVar = "psycopg2-binary"
    rank: ClassVar = 20
    dialect: ClassVar = "postgresql+psycopg2"
    cannot: ClassVar = {
        "max_reply_bytes": "libpq reads a whole result before it returns",
        "read_timeout_s": "libpq waits by itself; statement_timeout_s binds an honest server",
    }

    def connect(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``psycopg2.extensions.connection``."""
        import psycopg2

        parameters = self._parameters(attachment, options)
        return self._check(attachment, psycopg2.connect(**parameters))

    def pool(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``psycopg2.pool.ThreadedConnectionPool``; options are its own and libpq's."""
        import psycopg2.pool

        driver = self
        base: Any = psycopg2.pool.ThreadedConnectionPool
        minimum, maximum = options.pop("minconn", 1), options.pop("maxconn", 10)

        class Pool(base):
            """Its own connections, each checked when it is opened."""

            _kwargs: dict[str, Any]

            def _connect(self, key: Any = None) -> Any:
                self._kwargs = driver._parameters(attachment, options)  # by now, the name may lead elsewhere
                return driver._check(attachment, super()._connect(key))

        return Pool(minimum, maximum, **self._parameters(attachment, options))

    def refuse_error(self, attachment: Attachment, error: Exception) -> None:
        """Read libpq's message."""
        refuse_message(attachment, str(error))
        attachment.refuse_error(error)

    def _parameters(self, attachment: Attachment, options: dict[str, Any]) -> dict[str, Any]:
        import psycopg2.extensions

        parameters = libpq_parameters(attachment, options, psycopg2.extensions.libpq_version())
        if not parameters.keys() & {"cursor_factory", "connection_factory"}:  # the app's own classes stay as they are
            parameters["cursor_factory"] = _bound_cursor(attachment)
        return parameters

    def _check(self, attachment: Attachment, connection: Any) -> Any:
        """Judge the session. One that the app itself still has to open by polling shows nothing yet."""
        if connection.pgconn_ptr is None or connection.async_:
            return connection
        try:
            attachment.check_session(_read_session(connection))
        except BaseException:
            connection.close()
            raise
        return connection


def _bound_cursor(attachment: Attachment) -> Any:
    """Return psycopg2's class of cursors; in mode enforce, one that refuses results with too many rows."""
    import psycopg2.extensions

    cursor: Any = psycopg2.extensions.cursor
    if not attachment.policy.enforced:
        return cursor

    most = attachment.policy.count("max_rows")

    class BoundCursor(cursor):
        """Refuses results with too many rows."""

        def execute(self, *arguments: Any, **options: Any) -> None:
            super().execute(*arguments, **options)
            if self.rowcount > most and self.description:  # made anew each time: not on each call
                refuse_rows(attachment, self.rowcount)

    return BoundCursor


def _read_session(connection: Any) -> Session:
    import psycopg2

    info = connection.info
    mode = info.dsn_parameters.get("sslmode", "")
    version = info.ssl_attribute("protocol") if info.ssl_in_use else ""
    file: Any = psycopg2._psycopg.__file__  # pyright: ignore[reportAttributeAccessIssue]
    return Session(
        tls=bool(info.ssl_in_use),
        certificate=read_certificate(file, connection.pgconn_ptr) if info.ssl_in_use else None,
        server_version=connection.get_parameter_status("server_version") or "",
        version=(version or "").removeprefix("TLSv"),
        verified={"verify-full": "full", "verify-ca": "chain"}.get(mode, "none"),
        address=read_peer(connection.fileno()),
    )
