"""PyMySQL: connections that judge each step of the login before they answer it."""

from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

from backwatch.resource.bounded import ReplyBudget, make_bounded_context, open_socket, set_budget, share_context
from backwatch.resource.errors import ResourceUnsafe
from backwatch.resource.opening import Attachment, Session, read_peer, read_tls
from backwatch.resource.systems import mysql
from backwatch.resource.systems.mysql import MySQL

_Base: Any = object


class PyMySQL(MySQL):
    """A subclass of ``pymysql.connections.Connection``: the library answers whatever the server asks for."""

    module: ClassVar = "pymysql"
    package: ClassVar = "PyMySQL"
    rank: ClassVar = 10
    dialect: ClassVar = "mysql+pymysql"

    def connect(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``pymysql.connections.Connection``."""
        import pymysql

        policy = attachment.policy
        if not policy.enforced:
            attachment.check_places()
            connection = pymysql.connect(**{**mysql.common_parameters(attachment), **options})
            return _check(attachment, connection)
        mysql.refuse_options(attachment, options)
        attachment.check_places()
        parameters: dict[str, Any] = {
            **mysql.common_parameters(attachment),
            "connect_timeout": policy.seconds("connect_timeout_s"), "read_timeout": policy.seconds("read_timeout_s"),
            "write_timeout": policy.seconds("read_timeout_s"), "local_infile": policy.flag("local_infile"),
        }  # fmt: skip
        parameters |= options
        own = [parameters.pop(name, None) for name in mysql.CERTIFICATE_OPTIONS]  # the library would make its own TLS
        if attachment.needs_tls:
            parameters["ssl"] = share_context(attachment) if own[0] is None else make_bounded_context(attachment)
            if own[0] is not None:
                parameters["ssl"].load_cert_chain(*own)
        return _define_connection()(attachment, **parameters)


def _check(attachment: Attachment, connection: Any) -> Any:
    encrypted = hasattr(connection._sock, "getpeercert")
    session = read_tls(connection._sock) if encrypted else Session(tls=False)
    session = replace(session, server_version=mysql.read_version(connection.server_version))
    try:
        attachment.check_session(session, address=read_peer(connection._sock.fileno()))
    except BaseException:
        connection._force_close()
        raise
    return connection


def _raise_hidden(error: BaseException) -> None:
    """Raise the refusal of which the library has made an error of its own, as of any error of a socket."""
    for hidden in (error.__context__, error.__context__ and error.__context__.__context__):
        if isinstance(hidden, ResourceUnsafe):
            raise hidden from None


class _BoundedResult(_Base):
    """A result that is refused if it has too many rows or asks for a file."""

    connection: Any
    _rows_seen = 0

    def _read_load_local_packet(self, first_packet: Any) -> None:
        connection = self.connection
        try:
            super()._read_load_local_packet(first_packet)
        except RuntimeError:  # the library's own refusal
            connection._force_close()
            mysql.refuse_file_request(connection._attachment)
            raise

    def _read_rowdata_packet(self) -> None:
        """Read all rows, as the library does it, and count them."""
        connection, rows = self.connection, []
        limit = connection._max_rows
        while not self._check_packet_is_eof(packet := connection._read_packet()):
            rows.append(self._read_row_from_packet(packet))
            if len(rows) > limit:
                connection._refuse_rows()
        self.connection = None  # it holds this result
        self.affected_rows, self.rows = len(rows), tuple(rows)

    def _read_rowdata_packet_unbuffered(self) -> Any:
        connection = self.connection
        try:
            row = super()._read_rowdata_packet_unbuffered()
        except _errors().Error as error:
            _raise_hidden(error)
            raise
        self._rows_seen += 1
        if row is not None and self._rows_seen > connection._max_rows:
            self.unbuffered_active = False
            connection._refuse_rows()
        return row


class _JudgedConnection(_Base):
    """A connection that refuses an unsafe server before it sends a password."""

    _result_class: Any

    def __init__(self, attachment: Attachment, **parameters: Any) -> None:
        policy = attachment.policy
        self._attachment = attachment
        self._max_rows = policy.count("max_rows")
        self._reply_budget = ReplyBudget(
            attachment, policy.seconds("statement_timeout_s") + policy.seconds("read_timeout_s")
        )
        super().__init__(**parameters)

    def connect(self, sock: Any = None) -> None:
        attachment = self._attachment
        read_timeout, self._read_timeout = self._read_timeout, self.connect_timeout  # the login's
        try:
            if sock is None and not self.unix_socket:
                sock = self._open_socket()
                self.host_info = f"socket {self.host}:{self.port}"
            super().connect(sock)
        except _errors().Error as error:
            _raise_hidden(error)
            attachment.refuse_error(error)
            raise
        finally:
            self._read_timeout = read_timeout
        _check(attachment, self)

    def _open_socket(self) -> Any:
        try:
            return open_socket(self._attachment, self.host, self.port, self.connect_timeout)
        except OSError as error:  # as the library reports it: engines and apps wait for its class
            message = f"Can't connect to MySQL server on {self.host!r} ({error})"
            raise _errors().OperationalError(mysql.NO_CONNECTION, message) from error

    def _get_server_information(self) -> None:
        from pymysql.constants import CLIENT

        set_budget(self._sock, self._reply_budget)
        self._reply_budget.restart()
        super()._get_server_information()
        self._attachment.check_session(Session(server_version=mysql.read_version(self.server_version)))
        if not self.server_capabilities & CLIENT.SSL:
            mysql.refuse_plaintext(self._attachment)
        mysql.judge_plugin(self._attachment, self._auth_plugin_name or "mysql_native_password")

    def _request_authentication(self) -> None:
        self._read_packet = self._read_login_packet  # afterwards, a packet costs nothing more
        try:
            super()._request_authentication()
        finally:
            del self._read_packet
        set_budget(self._sock, self._reply_budget)
        self._bound_session()

    def _bound_session(self) -> None:
        from pymysql.constants import COMMAND

        attachment = self._attachment
        mariadb = "mariadb" in self.server_version.lower()
        try:
            self._execute_command(COMMAND.COM_QUERY, mysql.time_limit_statement(attachment, mariadb=mariadb))
            self._read_ok_packet()
        except _errors().OperationalError as error:
            if error.args[0] != mysql.UNKNOWN_VARIABLE:
                raise
        if attachment.policy.flag("read_only"):
            self._execute_command(COMMAND.COM_QUERY, mysql.READ_ONLY)
            self._read_ok_packet()

    def _process_auth(self, plugin_name: Any, *arguments: Any) -> Any:
        mysql.judge_plugin(self._attachment, plugin_name.decode("ascii", "replace"), self._auth_plugin_name)
        return super()._process_auth(plugin_name, *arguments)

    def _read_login_packet(self, *arguments: Any) -> Any:
        set_budget(self._sock, self._reply_budget)  # the socket is another one after the handshake
        packet = super()._read_packet(*arguments)
        if packet.get_all_data()[:2] == mysql.FULL_LOGIN:
            mysql.judge_full_login(self._attachment, encrypted=self._secure)
        return packet

    def _refuse_rows(self) -> None:
        self._force_close()
        mysql.refuse_rows(self._attachment)

    def _execute_command(self, command: Any, sql: Any) -> None:
        self._reply_budget.restart()
        super()._execute_command(command, sql)

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        self._result = None
        result = self._result_class(self)
        try:
            if unbuffered:
                result.init_unbuffered_query()
            else:
                result.read()
        except _errors().Error as error:
            _raise_hidden(error)
            raise
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows


@cache
def _errors() -> Any:
    from pymysql import err

    return err


@cache
def _define_connection() -> Any:
    from pymysql.connections import Connection, MySQLResult

    result = type("BoundedResult", (_BoundedResult, MySQLResult), {})
    return type("JudgedConnection", (_JudgedConnection, Connection), {"_result_class": result})
