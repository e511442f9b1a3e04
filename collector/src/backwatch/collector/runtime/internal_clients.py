"""What marks our own clients of the stream: an object that they carry, never the thread or context they are used from.

A client's network thread and its connects run where no context of ours reaches, and the app's own client may be called
from our thread (by a logging handler, say). So a probe asks the client at hand. Standard library only.
"""

from typing import Final


class InternalClientName(str):
    """A client's name that no app can give: drivers keep and copy their options, so every part of a client holds it."""

    __slots__ = ()


CLIENT_ID: Final = InternalClientName("backwatch")
"""``client_id`` of the stream's Kafka clients: known by its type, whatever the app calls its own."""
INTERNAL_ATTRIBUTE: Final = "_backwatch_internal"
"""Attribute that is true of the classes of our own SQLite connections."""


def is_internal(name: object) -> bool:
    """Whether a client of this name is ours."""
    return name.__class__ is InternalClientName
