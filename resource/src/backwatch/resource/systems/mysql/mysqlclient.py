"""mysqlclient (MySQLdb): a C library logs in, which gets its options before and is looked at afterwards."""

import contextlib
import math
import os
import tempfile
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final

from backwatch.resource.errors import ResourceMisconfigured
from backwatch.resource.opening import TLS_FIX, Attachment, Session, read_peer
from backwatch.resource.systems import mysql as family
from backwatch.resource.systems.mysql import MySQL
from backwatch.resource.tls import find_ca_file

MODES: Final = {"verify-full": "VERIFY_IDENTITY", "verify-ca": "VERIFY_CA", "require": "REQUIRED"}
TLS_FAILED: Final = 2026
PLUGIN_REFUSED: Final = (2059, 2061, 5010)
"""The C library refused a login plugin: it has none of that name, it failed, it is not among those allowed."""
FILE_REFUSED: Final = (2000, 2068, 4166)
"""The C library refused to send a file: MariaDB's, MySQL's, a server's."""
VERSIONS: Final = {"1.2": "TLSv1.2,TLSv1.3", "1.3": "TLSv1.3"}


class MySQLClient(MySQL):
    """Opens with ``ssl_mode``, a file of authorities, and a file of options that have no parameter.

    MySQL's C library takes no list of login plugins; it refuses mysql_clear_password by itself. A switch to
    mysql_native_password is not seen with either library.
    """

    module: ClassVar = "MySQLdb"
    package: ClassVar = "mysqlclient"
    aliases: ClassVar = ("mysqlclient",)
    rank: ClassVar = 30
    dialect: ClassVar = "mysql+mysqldb"
    cannot: ClassVar = {
        "pin": "shows no certificate", "max_reply_bytes": "reads whole results in C", "max_rows": "does so too",
    }  # fmt: skip

    def connect(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``MySQLdb.connections.Connection``."""
        parameters = family.common_parameters(attachment)
        if attachment.policy.text("auth") == "strong":
            raise ResourceMisconfigured(
                f"{attachment.name}: auth = 'strong' cannot be kept by MySQLdb: caching_sha2_password sends the whole "
                "password if the server asks for it; use PyMySQL or mysql-connector-python"
            )
        if attachment.policy.enforced:
            family.refuse_options(attachment, options)
            attachment.refuse_option(options, ("read_default_file", "read_default_group"), "tls")
        attachment.check_places()
        if attachment.policy.enforced:
            with _write_options(attachment) as path:
                parameters |= {**_safe_parameters(attachment), "read_default_file": path}
                connection: Any = _define_connection()(attachment, **{**parameters, **options})
        else:
            import MySQLdb  # pyright: ignore[reportMissingImports]

            connection = MySQLdb.connect(**{**parameters, **options})
        try:
            _check(attachment, connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def refuse_error(self, attachment: Attachment, error: Exception) -> None:
        """Read the C library's error code."""
        code = error.args[0] if error.args else 0
        if attachment.policy.enforced and code == TLS_FAILED:
            if "does not support it" in str(error):
                family.refuse_plaintext(attachment)
            attachment.refuse("tls", str(error), TLS_FIX)
        if attachment.policy.enforced and code in PLUGIN_REFUSED:
            # Its text is a null pointer in mysqlclient 2.3.2: to touch it ends the process.
            attachment.refuse("auth", "the server asks for another login than those allowed", family.AUTH_FIX)
        attachment.refuse_error(error)


@cache
def _define_connection() -> Any:
    from MySQLdb.connections import Connection  # pyright: ignore[reportMissingImports]

    base: Any = Connection

    class JudgedConnection(base):
        """A connection that reports a request for a file."""

        def __init__(self, attachment: Attachment, **parameters: Any) -> None:
            self._attachment = attachment
            super().__init__(**parameters)

        def query(self, query: Any) -> Any:
            try:
                return super().query(query)
            except self.Error as error:
                if error.args and error.args[0] in FILE_REFUSED and "infile" in str(error).lower():
                    family.refuse_file_request(self._attachment)
                raise

    return JudgedConnection


def _safe_parameters(attachment: Attachment) -> dict[str, Any]:
    policy = attachment.policy
    seconds = math.ceil(policy.seconds("read_timeout_s"))
    parameters: dict[str, Any] = {
        "connect_timeout": math.ceil(policy.seconds("connect_timeout_s")), "read_timeout": seconds,
        "write_timeout": seconds, "local_infile": int(policy.flag("local_infile")),
    }  # fmt: skip
    if attachment.url.host == "localhost":
        parameters["host"] = "LOCALHOST"  # in small letters, the library takes it for a Unix socket
    if attachment.needs_tls:
        parameters["ssl_mode"] = MODES[policy.text("tls")]
        if attachment.verifies:
            parameters["ssl"] = {"ca": find_ca_file(policy)}
    return parameters


@contextlib.contextmanager
def _write_options(attachment: Attachment) -> Generator[str]:
    """Write the options of MariaDB's C library that the module has no parameter for; MySQL's ignores them."""
    policy = attachment.policy
    lines = ["[client]"]
    if attachment.needs_tls:
        lines.append(f"tls-version={VERSIONS[policy.text('tls_min')]}")
    if policy.text("auth") != "any" and attachment.url.password:
        lines.append(f"restricted-auth={','.join((*family.PROOFS, *family.WEAK_PROOFS))}")
    descriptor, path = tempfile.mkstemp(prefix="backwatch-", suffix=".cnf")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(lines) + "\n")
        yield path
    finally:
        Path(path).unlink()


def _check(attachment: Attachment, connection: Any) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
        row = cursor.fetchone()
        version = str(row[1]) if row else ""
        session = Session(
            tls=bool(version) if row else None, version=version.removeprefix("TLSv"),
            server_version=family.read_version(connection.get_server_info()),
        )  # fmt: skip
        attachment.check_session(session, address=read_peer(connection.fileno()))
        if attachment.policy.enforced:
            _bound_session(attachment, connection, cursor)
    finally:
        cursor.close()


def _bound_session(attachment: Attachment, connection: Any, cursor: Any) -> None:
    mariadb = "mariadb" in connection.get_server_info().lower()
    try:
        cursor.execute(family.time_limit_statement(attachment, mariadb=mariadb))
    except connection.OperationalError as error:
        if error.args[0] != family.UNKNOWN_VARIABLE:
            raise
    if attachment.policy.flag("read_only"):
        cursor.execute(family.READ_ONLY)
