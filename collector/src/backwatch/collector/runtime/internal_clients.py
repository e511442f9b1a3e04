"""Marks on the collector's own clients of the stream, which probes must not record.

The mark is an object that the client holds, never the thread or context that uses it. A client's network thread runs
where no context variable of the collector reaches, and a logging handler may call the app's own client on the
collector's thread. So a probe asks the client itself. Standard library only.
"""

from typing import Final


class InternalClientName(str):
    """A client name that no app can use. Drivers copy their options, so every part of a client holds it."""

    __slots__ = ()


CLIENT_ID: Final = InternalClientName("backwatch")
"""``client_id`` of the stream's Kafka clients. Its type marks it, so an app may use the same text."""
INTERNAL_ATTRIBUTE: Final = "_backwatch_internal"
"""Attribute of the connection classes that the collector uses with SQLite."""


def is_internal(name: object) -> bool:
    """Return whether a client of this name is the collector's own."""
    return name.__class__ is InternalClientName
