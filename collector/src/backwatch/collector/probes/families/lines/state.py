"""The state of one connection of a line protocol, and of a call on it."""

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from backwatch.collector import names
from backwatch.collector.runtime.record import Session

if TYPE_CHECKING:
    from backwatch.collector.session.socket_counters import SocketCounters

LINE_FACTS: Final = names.OVER_TLS | {
    names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.ACCOUNT,
    names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT, names.BYTES_RECEIVED, names.ERROR_TYPE,
    names.STATUS_CODE, names.STARTTLS_OFFERED,
}  # fmt: skip
"""Facts that the client of every line protocol reports."""


class LineConnectionState:
    """The state of one connection."""

    __slots__ = (
        "account", "busy", "data", "data_session", "method", "number", "redirect_target", "session", "starttls_offered",
        "wire",
    )  # fmt: skip

    def __init__(self, session: Session) -> None:
        self.session = session
        self.number = -1
        self.wire: SocketCounters | None = None
        self.starttls_offered: bool | None = None
        self.busy = ""
        """The call in progress: calls that the library makes inside it belong to it."""
        self.account = ""
        """The account that is about to log in."""
        self.method = ""
        """SMTP: the login method tried last."""
        self.data: dict[str, Any] = {}
        """FTP: facts of the data connection, where they differ from those of this one."""
        self.data_session: tuple[Session, dict[str, Any], Session] | None = None
        self.redirect_target = ""
        """FTP: the host from which the server wants data to be fetched, where that is another one."""


class InFlightLineCall(NamedTuple):
    """A call that waits for its end.

    Attributes:
        subject: What else the ``exit`` hook needs.
    """

    state: LineConnectionState
    start_ns: int
    subject: Any = None
