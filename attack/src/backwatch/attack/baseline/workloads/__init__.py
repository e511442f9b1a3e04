"""The quiet hour's workloads: one file each for ordinary work that a naive detector would report.

A workload is two halves in one file, as a scenario of the pack is: the service, an honest server over verified TLS, and
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
"""Longer than any learning period."""
ROUND_S = 3_600.0
"""Seconds from one round of the past to the next."""
RELEASE = "4.1.0"
NEXT_RELEASE = "4.2.0"


class Phase(NamedTuple):
    """Some rounds of an app's work, made once, and their schedule.

    Attributes:
        name: Name of the work.
        rounds: Number of rounds that are really made.
        begins_s, ends_s: Seconds from the beginning of the quiet hour; below 0: before it.
        every_s: Seconds from one repetition of all rounds to the next.
        lasting_s: Seconds over which one repetition is spread; 0: as long as it really took.
    """

    name: str
    rounds: int
    begins_s: float
    ends_s: float
    every_s: float
    lasting_s: float

    def starts_s(self) -> Iterator[float]:
        """Yield the start of each repetition that ends in time. Zero is the quiet hour's start.

        >>> list(Phase("night", 1, -3 * DAY_S, 0, DAY_S, 60).starts_s())
        [-259200.0, -172800.0, -86400.0]
        """
        at = self.begins_s
        while at < self.ends_s and at + self.lasting_s <= self.ends_s:
            yield at
            at += self.every_s


def past(rounds: int = 6, name: str = "past") -> Phase:
    """Return a phase of one round an hour for eight days."""
    return Phase(name, rounds, -PAST_DAYS * DAY_S, 0, rounds * ROUND_S, rounds * ROUND_S)


def daily(name: str, rounds: int, at_s: float, lasting_s: float) -> Phase:
    """Return a phase of once a day for eight days. ``at_s`` is relative to the hour's time of day."""
    return Phase(name, rounds, at_s - PAST_DAYS * DAY_S, at_s - DAY_S + lasting_s, DAY_S, lasting_s)


def minutely(name: str = "hour", rounds: int = 6, begins_s: float = 0, ends_s: float = 3_600) -> Phase:
    """Return a phase of one round a minute, in the quiet hour."""
    return Phase(name, rounds, begins_s, ends_s, rounds * 60, rounds * 60)


def once(name: str, rounds: int, at_s: float, lasting_s: float = 0) -> Phase:
    """Return a phase that occurs once, in the quiet hour."""
    return Phase(name, rounds, at_s, at_s + max(lasting_s, 1), DAY_S, lasting_s)


class Process(NamedTuple):
    """One process of a workload's app: its release, and its work in order."""

    phases: tuple[Phase, ...]
    release: str = RELEASE


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadConfig:
    """Configuration of a workload's app: its service and its work.

    Attributes:
        port: Port of the service on loopback.
        ca_file: Certificate authority to trust.
        driver: Client library to use.
        release: Release of the app.
        phases: Name and rounds of each, in order.
        answers: File to which the app appends its progress, one JSON object per line.
    """

    port: int
    ca_file: str
    driver: str
    release: str
    phases: Sequence[tuple[str, int]]
    answers: str

    @classmethod
    def from_environment(cls) -> Self:
        """Read the variables that the quiet hour set."""
        return cls(**json.loads(os.environ["QUIET_PLACE"]))

    def environment(self) -> dict[str, str]:
        """Return the variables for the app's process."""
        return {"QUIET_PLACE": json.dumps(asdict(self))}


class Workload(ABC):
    """Ordinary work of one kind. An instance is the app.

    Attributes:
        title: What happens, in one sentence.
        naive: Why a naive detector would raise an alert.
        drivers: Modules of the client libraries that it runs on, if there are few.
        processes: The app's processes, in order.
    """

    title: ClassVar[str]
    naive: ClassVar[str]
    drivers: ClassVar[tuple[str, ...]] = ()
    processes: ClassVar[tuple[Process, ...]] = (Process((past(), minutely())),)

    def __init__(self, config: WorkloadConfig) -> None:
        self.config = config

    @classmethod
    def name(cls) -> str:
        """Return the file's name in words, ``nightly-batch``."""
        return cls.__module__.rpartition(".")[2].replace("_", "-")

    @classmethod
    def client_libraries(cls) -> Sequence[str]:
        """Return the modules of the client libraries that it runs on."""
        return cls.drivers

    @classmethod
    @abstractmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """Return the service, not started yet; it stays honest."""

    @classmethod
    def enter(cls, phase: str, service: HostileServer, proceed: Callable[[], None]) -> None:
        """Start a phase of the app. A workload that changes its service does so here."""
        del phase, service
        proceed()

    @classmethod
    def announcements(cls, service: HostileServer) -> Mapping[str, Sequence[str]]:
        """Return what the profile declares about the service at the start; usually nothing."""
        del service
        return {}

    @classmethod
    def sources(cls, driver: str, release: str) -> Mapping[str, str]:
        """Return the app's own code: text of each file by its name. ``app.py`` is run."""
        del driver, release
        return {"app.py": Path(str(sys.modules[cls.__module__].__file__)).read_text()}

    @abstractmethod
    def work(self, phase: str, number: int) -> None:
        """Do one round, counted from 0 within its phase; connect if needed."""


def discover() -> Iterator[type[Workload]]:
    """Yield every workload of this folder, by its file's name."""
    return (load(name) for name in files(__path__))


def load(file: str) -> type[Workload]:
    """Return the workload of one file; its drivers are imported only when it runs."""
    return only(f"{__name__}.{file}", Workload)


def run(kind: type[Workload]) -> None:
    """Run a workload's file as an app: each phase starts on a line of standard input."""
    config = WorkloadConfig.from_environment()

    def write_progress(**progress: object) -> None:
        with Path(config.answers).open("a") as file:
            file.write(json.dumps(progress) + "\n")

    app = kind(config)
    for name, rounds in config.phases:
        sys.stdin.readline()
        begun_ns = time.time_ns()
        for number in range(rounds):
            app.work(name, number)
        write_progress(phase=name, begun_ns=begun_ns)
