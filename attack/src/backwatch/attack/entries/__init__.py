"""The attack pack: one file each for a way in which a service betrays its client. A new one is one new file here.

An entry is two halves in one file: the service, which really speaks its protocol, is honest first and then turns; and
the app that uses it, with a real driver, an ordinary one that is careless in exactly one thing. The app runs as a
process of its own under ``backwatch run``, from a copy of the file, for what is installed is nobody's own code.
"""

import importlib.metadata
import json
import os
import platform
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from backwatch.attack.authority import Authority
from backwatch.attack.folders import files, only
from backwatch.attack.protocols.server import HostileServer

SECRET = "only-on-loopback"
SUCCEEDED = "succeeded"
MOST_TOLD = 300
"""Characters of a driver's refusal that are shown."""
GROUPS = {
    "A": "transport", "B": "authentication", "C": "redirects and topology", "D": "hostile content",
    "E": "availability", "F": "abuse through SQL", "G": "abuse through other services",
    "H": "exfiltration, time and account",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an app of the pack finds its service, and what it is to do.

    Attributes:
        port: The service's, on loopback.
        ca_file: The authority to trust.
        rounds: Rounds of honest work before anything else.
        live: Whether the service turns afterwards; else the rounds are all, and become the app's past.
        answers: The file into which the app says how it went, a line of JSON each time.
    """

    port: int
    ca_file: str
    rounds: int
    live: bool
    answers: Path

    @classmethod
    def of_environment(cls) -> Self:
        """As the pack set it."""
        of = os.environ
        return cls(
            port=int(of["ATTACK_PORT"]), ca_file=of["ATTACK_CA_FILE"], rounds=int(of["ATTACK_ROUNDS"]),
            live=of["ATTACK_LIVE"] == "1", answers=Path(of["ATTACK_ANSWERS"]),
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """The same, for a child."""
        return {
            "ATTACK_PORT": str(self.port), "ATTACK_CA_FILE": self.ca_file, "ATTACK_ROUNDS": str(self.rounds),
            "ATTACK_LIVE": str(int(self.live)), "ATTACK_ANSWERS": str(self.answers),
        }  # fmt: skip


class Entry(ABC):
    """One attack: what it is, its service, and the app that meets it. An instance is the app's half.

    Attributes:
        code: Its number in the catalogue, ``D1``; the letter is its group.
        attack: What the service does once it has turned, in one sentence.
        reference: Where this is described: CVE, tool, paper.
        driver: The module of the client library that it is shown on.
        notices: What an ordinary client would notice of it; usually nothing.
        rule: What Backwatch must say; nothing else above informational may be said.
        option: The driver's setting without which it refuses; empty where none is needed.
        settings: What the app's environment says to Backwatch.
    """

    code: ClassVar[str]
    attack: ClassVar[str]
    reference: ClassVar[str]
    driver: ClassVar[str]
    notices: ClassVar[str] = "nothing"
    rule: ClassVar[str]
    option: ClassVar[str] = ""
    settings: ClassVar[Mapping[str, str]] = {}

    def __init__(self, place: Place) -> None:
        self.place = place

    @classmethod
    def name(cls) -> str:
        """The file's name in words, ``mysql-local-infile``."""
        return cls.__module__.rpartition(".")[2].replace("_", "-")

    @classmethod
    def group(cls) -> str:
        """What kind of attack it is."""
        return GROUPS[cls.code[0]]

    @classmethod
    @abstractmethod
    def service(cls, authority: Authority) -> HostileServer:
        """The service, not started yet."""

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Turns it hostile; clients are dropped and come back."""
        service.turn()

    @abstractmethod
    def work(self) -> None:
        """One round of the app's ordinary work, which an honest service serves; connects where it must."""

    @abstractmethod
    def meet(self) -> object:
        """The same work once the service has turned: what the app got of it, fit for JSON.

        Raises:
            Exception: The driver's own, where it refuses.
        """

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Whether the attacker has what it wanted, by what the app got and what the service took."""
        del service, got
        return True


def driver_version(module: str) -> str:
    """The installed version of a client library; Python's own where it comes with it; empty: not installed."""
    if module.partition(".")[0] in sys.stdlib_module_names:
        return platform.python_version()
    found = importlib.metadata.packages_distributions().get(module.partition(".")[0])
    return importlib.metadata.version(found[0]) if found else ""


def discover() -> Iterator[type[Entry]]:
    """Every entry of this folder, by its file's name."""
    return (load(name) for name in files(__path__))


def load(file: str) -> type[Entry]:
    """The entry of one file; its driver is imported only once it works."""
    return only(f"{__name__}.{file}", Entry)


def run(kind: type[Entry]) -> None:
    """What an entry's file does as an app: honest rounds, then, where it is live, one meeting with the enemy."""
    place = Place.of_environment()

    def say(**told: object) -> None:
        with place.answers.open("a") as file:
            file.write(json.dumps(told) + "\n")

    app = kind(place)
    for _ in range(place.rounds):
        app.work()
    say(worked=place.rounds)
    if not place.live:
        return
    sys.stdin.readline()  # until the service has turned
    try:
        got = app.meet()
    except Exception as error:  # noqa: BLE001  whatever the driver refuses with is an answer here
        say(refused=f"{type(error).__name__}: {error}"[:MOST_TOLD])
    else:
        say(got=got)
    sys.stdin.readline()  # the app goes on living, as apps do, until all is judged
