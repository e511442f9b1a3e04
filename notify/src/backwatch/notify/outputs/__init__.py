"""Outputs: one file per kind of receiver, found by walking this folder.

An output renders an event once, when it is put into the outbox, and sends those bytes as often as needed. It returns
what came of an attempt; when to try again is not its business, and it never sleeps.
"""

import enum
import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from backwatch.collector.settings import NotifySettings
from backwatch.store.deliveries import EventRow


class Kind(enum.Enum):
    """What came of one attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """Not taken this time: not reachable, too slow, overloaded, redirecting, misconfigured."""
    REJECTED = "rejected"
    """This body will never be taken."""
    GONE = "gone"
    """The receiver wants nothing any more: it is disabled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOutcome:
    """What came of one attempt.

    Attributes:
        retry_after_s: How long the receiver asks to be left alone; ``None``: it does not say.
        detail: One short line for people, without secrets and without the receiver's own text.
    """

    kind: Kind
    retry_after_s: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One attempt.

    Attributes:
        id: The same at every attempt, by which the receiver knows a repetition.
        body: As :meth:`Output.render` gave it.
        attempted_ns: Wall time of this attempt.
    """

    id: str
    body: bytes
    attempted_ns: int


class Output(ABC):
    """A receiver of events."""

    name: ClassVar[str]
    """What kind of receiver; the same as the file's name."""
    settings: ClassVar[type[Any] | None] = None
    """Settings of its own: a dataclass of its file, with names under ``BACKWATCH_OUTPUT_``."""

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: NotifySettings) -> "Sequence[Self]":
        """The receivers of this kind that the settings name.

        Raises:
            SettingError: One of them cannot be used.
        """

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """What this receiver is called in the store: stable, at most 200 characters, and no secret in it."""

    @abstractmethod
    def render(self, event: EventRow) -> bytes:
        """The event as this receiver takes it. Pure: the same event gives the same bytes."""

    @abstractmethod
    def send(self, delivery: Delivery, timeout_s: float) -> DeliveryOutcome:
        """One attempt, of at most about ``timeout_s`` in all. Never raises for what a receiver does, never sleeps."""


def discover() -> Iterator[type[Output]]:
    """Every output of this folder, in the order of their file names."""
    for found in pkgutil.iter_modules(__path__):
        if found.name.startswith("_"):
            continue
        module = importlib.import_module(f"{__name__}.{found.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Output) and value.__module__ == module.__name__:
                yield value
