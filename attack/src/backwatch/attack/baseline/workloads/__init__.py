"""The quiet hour's scenes: a file each for ordinary work over which a naive detector would cry.

A scene is two halves in one file, as an entry of the pack is: the service, an honest speaker over verified TLS, and
the app, with a real driver, which runs as a process of its own under ``backwatch run`` from a copy of the file.
"""

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from backwatch.attack.authority import Authority
from backwatch.attack.folders import files, only
from backwatch.attack.protocols.server import HostileServer

DAY_S = 86_400.0
PAST_DAYS = 8
"""Longer than anything takes to settle."""
ROUND_S = 3_600.0
"""From one round of the past to the next."""
RELEASE = "4.1.0"
NEXT_RELEASE = "4.2.0"


class Spell(NamedTuple):
    """Some rounds of an app's work, really made once, and when they are told.

    Attributes:
        name: What the app is asked to do.
        rounds: Really made.
        begins_s, ends_s: Seconds from the beginning of the quiet hour; below 0: before it.
        every_s: From one telling of all its rounds to the next.
        lasting_s: Over what one telling is spread; 0: it takes the time that it really took.
    """

    name: str
    rounds: int
    begins_s: float
    ends_s: float
    every_s: float
    lasting_s: float

    def tellings_s(self) -> Iterator[float]:
        """Seconds from the beginning of the quiet hour to that of each telling that is over in time.

        >>> list(Spell("night", 1, -3 * DAY_S, 0, DAY_S, 60).tellings_s())
        [-259200.0, -172800.0, -86400.0]
        """
        at = self.begins_s
        while at < self.ends_s and at + self.lasting_s <= self.ends_s:
            yield at
            at += self.every_s


def past(rounds: int = 6, name: str = "past") -> Spell:
    """A round an hour for eight days."""
    return Spell(name, rounds, -PAST_DAYS * DAY_S, 0, rounds * ROUND_S, rounds * ROUND_S)


def daily(name: str, rounds: int, at_s: float, lasting_s: float) -> Spell:
    """Once a day for eight days, at the time of day at which the quiet hour is so old."""
    return Spell(name, rounds, at_s - PAST_DAYS * DAY_S, at_s - DAY_S + lasting_s, DAY_S, lasting_s)


def minutely(name: str = "hour", rounds: int = 6, begins_s: float = 0, ends_s: float = 3_600) -> Spell:
    """A round a minute, in the quiet hour."""
    return Spell(name, rounds, begins_s, ends_s, rounds * 60, rounds * 60)


def once(name: str, rounds: int, at_s: float, lasting_s: float = 0) -> Spell:
    """In the quiet hour, and never before."""
    return Spell(name, rounds, at_s, at_s + max(lasting_s, 1), DAY_S, lasting_s)


class Process(NamedTuple):
    """One process of a scene's app: its release, and what it does, in order."""

    spells: tuple[Spell, ...]
    release: str = RELEASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an app of a scene finds its service, and what it is to do.

    Attributes:
        port: The service's, on loopback.
        ca_file: The authority to trust.
        driver: The client library that it is to use.
        release: Its own.
        spells: Name and rounds of each, in order.
        answers: The file into which the app says how far it is, a line of JSON each time.
    """

    port: int
    ca_file: str
    driver: str
    release: str
    spells: Sequence[tuple[str, int]]
    answers: str

    @classmethod
    def of_environment(cls) -> Self:
        """As the quiet hour set it."""
        return cls(**json.loads(os.environ["QUIET_PLACE"]))

    def environment(self) -> dict[str, str]:
        """The same, for a child."""
        return {"QUIET_PLACE": json.dumps(asdict(self))}


class Scene(ABC):
    """Ordinary work of one kind. An instance is the app's half.

    Attributes:
        title: What happens, in one sentence.
        naive: Why a naive detector would cry.
        drivers: The modules of the client libraries that it is played on, where they are few.
        processes: The app's processes, one after the other.
    """

    title: ClassVar[str]
    naive: ClassVar[str]
    drivers: ClassVar[tuple[str, ...]] = ()
    processes: ClassVar[tuple[Process, ...]] = (Process((past(), minutely())),)

    def __init__(self, place: Place) -> None:
        self.place = place

    @classmethod
    def name(cls) -> str:
        """The file's name in words, ``nightly-batch``."""
        return cls.__module__.rpartition(".")[2].replace("_", "-")

    @classmethod
    def played_on(cls) -> Sequence[str]:
        """The modules of the client libraries that it is played on."""
        return cls.drivers

    @classmethod
    @abstractmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """The service, not started yet; it stays honest."""

    @classmethod
    def enter(cls, spell: str, service: HostileServer, go: Callable[[], None]) -> None:
        """Has the app begin a spell; where something happens to the service before or meanwhile, it happens here."""
        del spell, service
        go()

    @classmethod
    def announced(cls, service: HostileServer) -> Mapping[str, Sequence[str]]:
        """What the profile announces of the service when the quiet hour begins, by its words; mostly nothing."""
        del service
        return {}

    @classmethod
    def sources(cls, driver: str, release: str) -> Mapping[str, str]:
        """The app's own code: text of each file by its name; ``app.py`` is run."""
        del driver, release
        return {"app.py": Path(str(sys.modules[cls.__module__].__file__)).read_text()}

    @abstractmethod
    def work(self, spell: str, number: int) -> None:
        """One round, counted from 0 within its spell; connects where it must."""


def discover() -> Iterator[type[Scene]]:
    """Every scene of this folder, by its file's name."""
    return (load(name) for name in files(__path__))


def load(file: str) -> type[Scene]:
    """The scene of one file; its drivers are imported only once it works."""
    return only(f"{__name__}.{file}", Scene)


def run(kind: type[Scene]) -> None:
    """What a scene's file does as an app: its spells, each when it is told to begin."""
    place = Place.of_environment()

    def say(**told: object) -> None:
        with Path(place.answers).open("a") as file:
            file.write(json.dumps(told) + "\n")

    app = kind(place)
    for name, rounds in place.spells:
        sys.stdin.readline()
        begun_ns = time.time_ns()
        for number in range(rounds):
            app.work(name, number)
        say(spell=name, begun_ns=begun_ns)
