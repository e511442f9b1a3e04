"""State of a PostgreSQL connection, with its notices."""

from typing import Final

from backwatch.collector.probes.toolkit.dbapi import ConnectionState, notice_facts
from backwatch.collector.runtime.record import Facts, Session
from backwatch.collector.session.socket_counters import SocketCounters

CHANGES: Final = ("INSERT", "UPDATE", "DELETE", "MERGE")
"""Statements whose command tag counts affected rows."""


class PostgresConnectionState(ConnectionState):
    """A connection state that also counts notices.

    Attributes:
        notices: Notices since the last record.
    """

    __slots__ = ("notices",)

    def __init__(self, session: Session, wire: SocketCounters | None = None) -> None:
        super().__init__(session, wire)
        self.notices = 0

    def take_notices(self) -> Facts:
        """Return the notices since the last record, once."""
        if not self.notices:
            return ()
        count, self.notices = self.notices, 0
        return notice_facts(count)
