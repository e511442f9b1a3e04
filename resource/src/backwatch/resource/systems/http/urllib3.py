"""Connections of urllib3, which requests and botocore use: to judged addresses, judged and bounded."""

import ssl
from typing import Any

from backwatch.resource.bounded import ReplyBudget, open_socket, set_budget
from backwatch.resource.errors import ResourceUnsafe
from backwatch.resource.opening import Attachment, Session, read_peer, read_tls


def make_pool_classes(attachment: Attachment, http_pool: Any, https_pool: Any) -> dict[str, Any]:
    """Return subclasses of two pools whose connections are judged, as ``pool_classes_by_scheme`` takes them."""
    return {
        "http": _make_pool_class(attachment, http_pool),
        "https": _make_pool_class(attachment, https_pool),
    }  # fmt: skip


def _make_pool_class(attachment: Attachment, pool: Any) -> Any:
    connection = _make_connection_class(attachment, pool.ConnectionCls)
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def _make_connection_class(attachment: Attachment, base: Any) -> Any:
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    enforced = attachment.policy.enforced

    class JudgedConnection(base):
        """A connection that goes to a judged address and is looked at once it is open."""

        _budget: ReplyBudget | None = None

        def _new_conn(self) -> Any:
            if not enforced:
                return super()._new_conn()
            attachment.check_endpoint(self.host, self.port, "a connection goes to")
            timeout = self.timeout  # or a mark for the default
            if not isinstance(timeout, (int, float)):
                timeout = attachment.policy.seconds("connect_timeout_s")
            try:
                return open_socket(attachment, self._dns_host, self.port, timeout)
            except ResourceUnsafe:
                raise
            except TimeoutError as error:
                raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from error
            except OSError as error:
                raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error

        def connect(self) -> None:
            try:
                super().connect()
            except OSError as error:
                attachment.refuse_error(error)
                raise
            try:
                self._check_connected()
            except BaseException:
                self.close()
                raise

        def _check_connected(self) -> None:
            connected = self.sock
            shown = read_tls(connected) if isinstance(connected, ssl.SSLSocket) else Session(tls=False)
            attachment.check_session(shown, address=read_peer(connected.fileno()))
            if enforced:
                self._budget = ReplyBudget(attachment, attachment.policy.seconds("statement_timeout_s"))
                set_budget(connected, self._budget)

        def putrequest(self, *arguments: Any, **options: Any) -> Any:
            if self._budget is not None:
                self._budget.restart()
            return super().putrequest(*arguments, **options)

    return JudgedConnection
