"""One part of a run: an app that calls its service at many seeds, bare or observed, and its results."""

import contextlib
import faulthandler
import itertools
import random
import re
import shutil
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.http import HTTP
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import AppConfig, Scenario
from backwatch.collector.runtime import guard
from tests.contract.mutations.answers import CHOSEN

HANGS_S = 60
COMPUTES_S = 2
"""For which a seed may take, and compute; then its process ends itself, saying where it stands."""
HANGS = "it never comes back"
MOST_SAID = 1_000
CHANGING = re.compile(
    r"0x[0-9a-f]+|\b[0-9a-f]{24}\b|-?\d{5,}|\d+\.\d+|\b[A-P]{4}\d+\b|\('asn1 encoding routines'[^)]*\)(?:, )?"
)
"""What differs from try to try: addresses, object ids, ports, times, imaplib's random tags, what is amiss within a
certificate that is mutated (TDS has its handshake in packets of its own)."""


Watching = Callable[[], contextlib.AbstractContextManager[Callable[[], list[bytes]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The task of one process: a scenario, bare or observed, at these seeds.

    Attributes:
        dawdles: True if its services take a little for each response, a different time each.
        sent: Of an honest and of a hostile service, the sends of the busiest session, and where its last response
        begins; empty: that is measured first.
        port: The first port of its services.
        folder: A folder that is created and deleted.
    """

    kind: type[Scenario]
    seeds: Sequence[int]
    watched: bool
    dawdles: bool = False
    sent: Sequence[tuple[int, int]] = ()
    port: int
    folder: Path


STACK_ENDED = "the stack is at its end"
"""The outcome where an app recursed to its interpreter's limit."""


@dataclass(slots=True, kw_only=True)
class Seen:
    """The result of a part.

    Attributes:
        sent: The same as the part's.
        outcomes: Value or exception of each seed, as text.
        reached: Seeds whose mutated response was sent.
        reported: Messages that Backwatch published.
        faults: Faults that the guard swallowed.
    """

    sent: Sequence[tuple[int, int]]
    outcomes: dict[int, str] = field(default_factory=dict[int, str])
    reached: int = 0
    reported: list[bytes] = field(default_factory=list[bytes])
    faults: list[str] = field(default_factory=list[str])

    def take(self, more: "Seen") -> None:
        """Return the new outcomes."""
        self.sent = more.sent
        self.outcomes |= more.outcomes
        self.reached += more.reached
        self.reported += more.reported
        self.faults += more.faults


class Rates(Scenario):
    """The one service that no scenario has: an app that stops at ``Location``."""

    code, attack, reference, driver, rule = "C10", HTTP.attack, HTTP.reference, HTTP.driver, HTTP.rule

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the API."""
        return HTTP(authority)

    def work(self) -> None:
        """Fetch the rates."""
        self.meet()

    def meet(self) -> object:
        """Return the same."""
        import requests

        url = f"https://localhost:{self.config.port}/v1/rates/EUR"
        answer = requests.get(url, verify=self.config.ca_file, timeout=5, allow_redirects=False)
        return [answer.status_code, answer.headers.get("Location"), answer.text]


def play(part: Part, watched: Watching, say: Callable[[Seen], None]) -> None:
    """Run all seeds of one part: even ones on an honest service, odd ones on a hostile one.

    Args:
        part: The part to run.
        watched: Attaches Backwatch; yields a function that returns the published messages.
        say: Receives each outcome, and an empty one before each seed: some seeds end the app.
    """
    for number in (signal.SIGALRM, signal.SIGPROF):
        faulthandler.register(number, all_threads=True, chain=True)  # and then it ends the process
    with contextlib.ExitStack() as stack:
        authority = Authority(part.folder)
        stack.callback(shutil.rmtree, part.folder)
        with _ports(part.port):
            services = [part.kind.service(authority) for _ in range(2)]
            for service in services:
                service.start()
                stack.callback(service.stop)
            part.kind.turn(services[1])
        read_reported = stack.enter_context(watched()) if part.watched else list

        def met(service: HostileServer) -> str:
            signal.setitimer(signal.ITIMER_REAL, HANGS_S)
            signal.setitimer(signal.ITIMER_PROF, COMPUTES_S)
            if service is services[1]:
                service.turn()
            place = AppConfig(
                port=service.port, ca_file=str(authority.ca_file), rounds=1, live=True, answers=part.folder / "answers"
            )
            try:
                return _shorten_outcome(repr(part.kind(place).meet()))
            except Exception as error:  # noqa: BLE001  any error of the driver is an outcome here
                return _shorten_outcome(f"{type(error).__module__}.{type(error).__qualname__}: {error}")

        sent = part.sent or [_count_choices(service, met) for service in services]
        CHOSEN.dawdles = part.dawdles
        for seed in part.seeds:
            say(Seen(sent=sent, outcomes={seed: HANGS}))
            turned = seed % 2 if sent[0][0] and sent[1][0] else int(sent[1][0] > 0)
            CHOSEN.choose(seed, *sent[turned])
            random.seed(seed)
            outcome = met(services[turned])
            say(Seen(sent=sent, outcomes={seed: outcome}, reached=int(CHOSEN.reached)))
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        faults = [f"{name}: {error!r}" for name, error in guard.swallowed]
        say(Seen(sent=sent, reported=read_reported(), faults=faults))


def _count_choices(service: HostileServer, met: Callable[[HostileServer], str]) -> tuple[int, int]:
    CHOSEN.count()
    for _ in range(2):  # the first time everything takes longer
        random.seed(0)
        met(service)
    return CHOSEN.sent, CHOSEN.last


def _shorten_outcome(outcome: str) -> str:
    if "maximum recursion depth" in outcome:
        return STACK_ENDED  # the frame depends on the depth of the stack, which Backwatch adds to
    return CHANGING.sub("#", outcome)[:MOST_SAID]


@contextlib.contextmanager
def _ports(first: int) -> Generator[None]:
    """Servers that listen on any free port use these: replies contain ports, which must be the same each time."""
    made, ports = socket.create_server, itertools.count(first)

    def create_server(address: tuple[str, int], **options: Any) -> socket.socket:
        return made((address[0], address[1] or next(ports)), **options)

    socket.create_server = create_server
    try:
        yield
    finally:
        socket.create_server = made
