"""mysql-connector-python, in pure Python: its C extension answers whatever the server asks for."""

import math
import time
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar, Final

from backwatch.resource.bounded import ReplyBudget, open_socket, share_context
from backwatch.resource.errors import DriverMissing, ResourceUnsafe, walk_causes
from backwatch.resource.opening import TLS_FIX, Attachment, Session, read_peer, read_tls
from backwatch.resource.systems import mysql as family
from backwatch.resource.systems.mysql import MySQL
from backwatch.resource.tls import make_context

PACKET_HEADER_BYTES: Final = 4
_Base: Any = object


class MySQLConnector(MySQL):
    """A subclass of ``mysql.connector.connection.MySQLConnection``."""

    module: ClassVar = "mysql.connector"
    package: ClassVar = "mysql-connector-python"
    aliases: ClassVar = ("mysqlconnector",)
    rank: ClassVar = 20
    dialect: ClassVar = "mysql+mysqlconnector"

    def connect(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``mysql.connector.connection.MySQLConnection``."""
        import mysql.connector

        policy = attachment.policy
        if not policy.enforced:
            attachment.check_places()
            parameters = {"use_pure": True, **family.common_parameters(attachment), **options}
            return _check(attachment, mysql.connector.connect(**parameters))
        family.refuse_options(attachment, options)
        attachment.refuse_option(options, ("compress",), "max_reply_bytes")  # it unpacks without a bound
        attachment.check_places()
        parameters = {
            **family.common_parameters(attachment),
            "connection_timeout": _to_seconds(policy.seconds("connect_timeout_s")),
            "read_timeout": _to_seconds(policy.seconds("read_timeout_s")),
            "write_timeout": _to_seconds(policy.seconds("read_timeout_s")),
            "allow_local_infile": policy.flag("local_infile"), **options,
        }  # fmt: skip
        if attachment.needs_tls:  # so that the library itself insists on TLS; the context is the socket's below
            parameters |= {"ssl_verify_cert": attachment.verifies, "ssl_disabled": False}
        return _define_connection()(attachment, **parameters)

    def refuse_error(self, attachment: Attachment, error: Exception) -> None:
        """Read what the library reports of a server without TLS."""
        if attachment.policy.enforced and "SSL is required" in str(error):
            attachment.refuse("tls", "the server offers no TLS", TLS_FIX)
        attachment.refuse_error(error)

    def pool(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``MySQLConnectionPool`` of checked connections; options are its own and the connections'."""
        from mysql.connector.pooling import MySQLConnectionPool

        base: Any = MySQLConnectionPool
        driver = self
        own = {name: options.pop(name) for name in POOL_OPTIONS if name in options}

        class Pool(base):
            """Its own connections, each opened by the resource."""

            def add_connection(self, cnx: Any = None) -> None:
                if cnx is None:
                    cnx = driver.open(attachment, "connect", dict(options))
                    cnx.pool_config_version = self._config_version
                super().add_connection(cnx)

        return Pool(**own, database=attachment.url.path)


POOL_OPTIONS = ("pool_name", "pool_size", "pool_reset_session")


def _to_seconds(seconds: float) -> int:
    return max(1, math.ceil(seconds))


def _check(attachment: Attachment, connection: Any) -> Any:
    plain_or_tls = connection._socket.sock
    session = read_tls(plain_or_tls) if hasattr(plain_or_tls, "getpeercert") else Session(tls=False)
    session = replace(session, server_version=_read_version(connection))
    try:
        attachment.check_session(session, address=read_peer(plain_or_tls.fileno()))
    except BaseException:
        connection._socket.close_connection()
        raise
    return connection


def _read_version(connection: Any) -> str:
    return family.read_version(str(connection._handshake["server_version_original"]))


class _BoundedBroker(_Base):
    """Reads packets within a budget; counts a packet's announced size before it takes memory for it."""

    def __init__(self, budget: ReplyBudget) -> None:
        super().__init__()
        self._budget = budget

    def _recv_chunk(self, sock: Any, size: int = 0) -> bytearray:
        """Read as the library does it; the wait for a packet is that for its header, or between drips."""
        budget, deadline = self._budget, 0.0
        budget.left_bytes -= size
        if budget.left_bytes < 0:
            budget.refuse_size()
        packet = bytearray(size)
        view = memoryview(packet)
        started = time.monotonic() if size == PACKET_HEADER_BYTES else 0.0
        while size:
            read = sock.recv_into(view, size)
            if not read:
                raise _errors().InterfaceError(errno=2013)
            size -= read
            if size:
                view = view[read:]
                now = time.monotonic()
                deadline = deadline or now + budget.left_s
                if now >= deadline:
                    budget.refuse_time()
        if started:
            budget.left_s -= time.monotonic() - started
            if budget.left_s < 0:
                budget.refuse_time()
        return packet


class _JudgedSocket(_Base):
    """A connection to a judged address, with the policy's TLS and a bound on each reply."""

    def __init__(self, attachment: Attachment, budget: ReplyBudget, host: str, port: int) -> None:
        super().__init__(host=host, port=port)
        self._attachment = attachment
        self._budget = budget
        self._netbroker = _extend_broker()(budget)
        self.recv = self._recv_login

    def open_connection(self) -> None:
        host, port = self.server_host, self.server_port
        try:
            self.sock = open_socket(self._attachment, host, port, self._connection_timeout)
        except OSError as error:  # as the library reports it: engines and apps wait for its class
            from mysql.connector.errors import InterfaceError

            raise InterfaceError(errno=family.NO_CONNECTION, values=(host, port, str(error))) from error

    def build_ssl_context(self, ssl_ca: Any = None, ssl_cert: Any = None, ssl_key: Any = None, **options: Any) -> Any:
        if not self._attachment.needs_tls:
            return super().build_ssl_context(ssl_ca, ssl_cert, ssl_key, **options)
        if not ssl_cert:
            return share_context(self._attachment, bounded=False)
        context = make_context(self._attachment.policy)
        context.load_cert_chain(ssl_cert, ssl_key)
        return context

    def send(self, *arguments: Any, **options: Any) -> None:
        self._budget.restart()
        super().send(*arguments, **options)

    def _recv_login(self, *arguments: Any) -> Any:
        packet = super().recv(*arguments)
        if packet[4:6] == family.FULL_LOGIN:
            family.judge_full_login(self._attachment, encrypted=hasattr(self.sock, "getpeercert"))
        return packet

    def end_login(self) -> None:
        """Judge no further packet one by one."""
        del self.recv


class _JudgedAuthenticator(_Base):
    """Refuses a switch to a login that the policy does not allow."""

    def __init__(self, attachment: Attachment) -> None:
        super().__init__()
        self._attachment = attachment
        self.announced = ""

    def _switch_auth_strategy(self, new_strategy_name: str, *arguments: Any, **options: Any) -> None:
        family.judge_plugin(self._attachment, new_strategy_name, self.announced)
        super()._switch_auth_strategy(new_strategy_name, *arguments, **options)


class _JudgedConnection(_Base):
    """A connection that refuses an unsafe server before it sends a password."""

    def __init__(self, attachment: Attachment, **parameters: Any) -> None:
        policy = attachment.policy
        self._attachment = attachment
        self._max_rows = policy.count("max_rows")
        self._rows_seen = 0
        self._reply_budget = ReplyBudget(
            attachment, policy.seconds("statement_timeout_s") + policy.seconds("read_timeout_s")
        )
        super().__init__(**parameters)

    def _get_connection(self) -> Any:
        if self._unix_socket:
            return super()._get_connection()
        opened = _extend_socket()(self._attachment, self._reply_budget, self.server_host, self.server_port)
        opened.set_connection_timeout(self._connection_timeout)
        return opened

    def _open_connection(self) -> None:
        self._authenticator = _extend_authenticator()(self._attachment)
        try:
            super()._open_connection()
        except _errors().Error as error:
            self._attachment.raise_refusal(error)
            raise
        if not self._unix_socket:
            self._socket.end_login()
        _check(self._attachment, self)

    def _do_handshake(self) -> None:
        super()._do_handshake()
        self._attachment.check_session(Session(server_version=_read_version(self)))
        if not self._handshake["capabilities"] & _client_flags().SSL:
            family.refuse_plaintext(self._attachment)
        announced = self._handshake["auth_plugin"]
        if isinstance(announced, (bytes, bytearray)):
            announced = announced.decode("ascii", "replace")
        self._authenticator.announced = announced or ""
        family.judge_plugin(self._attachment, announced or "mysql_native_password")

    def _post_connection(self) -> None:
        super()._post_connection()
        mariadb = "mariadb" in _read_version(self).lower()
        try:
            self._execute_query(family.time_limit_statement(self._attachment, mariadb=mariadb))
        except _errors().DatabaseError as error:
            if error.errno != family.UNKNOWN_VARIABLE:
                raise
        if self._attachment.policy.flag("read_only"):
            self._execute_query(family.READ_ONLY)
        # Else the first cursor with parameters asks for it, and hides why it failed.
        _ = self.sql_mode

    def _handle_load_data_infile(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super()._handle_load_data_infile(*arguments, **options)
        except _errors().Error:
            self._socket.close_connection()
            family.refuse_file_request(self._attachment)
            raise

    def _send_cmd(self, *arguments: Any, **options: Any) -> Any:
        self._rows_seen = 0
        return self._translate(super()._send_cmd, arguments, options)

    def _handle_result(self, *arguments: Any, **options: Any) -> Any:
        return self._translate(super()._handle_result, arguments, options)

    def _translate(self, call: Any, arguments: Any, options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except _errors().Error as error:  # which is what the library makes of any error of a socket
            self._raise_refusal(error)
            raise
        except ResourceUnsafe:
            self._socket.close_connection()
            raise

    def _raise_refusal(self, error: Exception) -> None:
        for cause in walk_causes(error):
            if isinstance(cause, ResourceUnsafe):
                self._socket.close_connection()
                raise cause from None

    def get_rows(self, count: int | None = None, *arguments: Any, **options: Any) -> Any:
        wanted = self._max_rows - self._rows_seen + 1 if count is None else count
        rows, end = self._translate(super().get_rows, (wanted, *arguments), options)
        self._rows_seen += len(rows)
        if self._rows_seen > self._max_rows:
            self.unread_result = False
            self._socket.close_connection()
            family.refuse_rows(self._attachment)
        return rows, end


@cache
def _errors() -> Any:
    from mysql.connector import errors

    return errors


@cache
def _client_flags() -> Any:
    from mysql.connector.constants import ClientFlag

    return ClientFlag


@cache
def _extend_broker() -> Any:
    from mysql.connector.network import NetworkBrokerPlain

    return type("BoundedBroker", (_BoundedBroker, NetworkBrokerPlain), {})


@cache
def _extend_socket() -> Any:
    from mysql.connector.network import MySQLTCPSocket

    if not hasattr(MySQLTCPSocket, "build_ssl_context"):
        raise DriverMissing("mysql-connector-python is too old: install 8.2 or newer")
    return type("JudgedSocket", (_JudgedSocket, MySQLTCPSocket), {})


@cache
def _extend_authenticator() -> Any:
    from mysql.connector.authentication import MySQLAuthenticator

    return type("JudgedAuthenticator", (_JudgedAuthenticator, MySQLAuthenticator), {})


@cache
def _define_connection() -> Any:
    from mysql.connector.connection import MySQLConnection

    return type("JudgedConnection", (_JudgedConnection, MySQLConnection), {})
