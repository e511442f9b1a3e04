"""Whatever bytes a service answers with, the app sees the same with Backwatch and without, and the detector lives.

One entry of the pack for each client library: its service answers honestly or as the enemy, and what it sends is
mutated by a seed; then it half-closes. ``BACKWATCH_TEST_MUTATIONS`` says how many seeds.
"""

import importlib
import os
import random
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backwatch.attack import servers
from backwatch.attack.authority import Authority
from backwatch.attack.entries import Entry, Place, discover
from backwatch.attack.servers import HostileServer, Session
from backwatch.collector.probes import discover as discover_probes
from backwatch.detector import rulebook
from backwatch.detector.engine.step import EngineConfig
from backwatch.detector.replay import Replay
from tests.contract.test_every_attack import watched

SEEDS = int(os.environ.get("BACKWATCH_TEST_MUTATIONS", "40"))
PROBES = {one.module.partition(".")[0]: one.__module__.rpartition(".")[2] for one in discover_probes()}
BY_LAYER = {"requests": "urllib3", "urllib": "http", "boto3": "botocore", "celery": "kombu", "aio_pika": "aiormq"}
"""Layers that are watched below."""
AT_THEIR_OWN_TIMES = {"pymongo"}
"""Its monitors dial by themselves: no two runs of it are alike, bare or not."""
ENTRIES = {
    driver: kind
    for kind in reversed(list(discover()))
    if (driver := kind.driver.partition(".")[0]) not in AT_THEIR_OWN_TIMES
}
"""The first of each client library."""
PATIENT = {"kombu", "nats"}
"""They dial again for two seconds before they say anything: a tenth of the seeds."""
TRIES = 5
CHANGING = re.compile(r"0x[0-9a-f]+|\d{5,}|\d+\.\d+|\b[A-P]{4}\d+\b")
"""What differs from try to try: addresses, ephemeral ports, times, imaplib's random tags."""


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The same bytes with up to three things wrong."""
    found = bytearray(data)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(found) + 1)
        match chance.randrange(6):
            case 0 if found:
                found[at % len(found)] ^= 1 << chance.randrange(8)
            case 1 if found:
                found[at % len(found)] = chance.choice((0, 1, 0x7F, 0x80, 0xFB, 0xFE, 0xFF))
            case 2:
                del found[at : at + chance.randrange(8)]
            case 3:
                found[at:at] = chance.randbytes(chance.randrange(8))
            case 4:
                found[at:at] = found[max(0, at - 16) : at]
            case _:
                del found[at:]
    return bytes(found)


@pytest.fixture
def seeded(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the seed of all sessions that begin from now on."""
    seed = 0

    class Mutating(Session):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._chance = random.Random(seed)
            self._from = self._chance.randrange(6)
            self._sent = 0

        def send(self, data: bytes) -> None:
            self._sent += 1
            if self._sent <= self._from or not data:
                super().send(data)
                return
            super().send(mutated(data, self._chance))
            raw: Any = socket.socket
            raw.shutdown(self._socket, socket.SHUT_WR)  # or clients would wait for what never comes
            while raw.recv(self._socket, 1 << 16):  # or what they still send would be answered by a reset, or not yet
                pass
            raise EOFError

    def choose(chosen: int) -> None:
        nonlocal seed
        seed = chosen

    monkeypatch.setattr(servers, "Session", Mutating)
    return choose


@pytest.fixture
def service(kind: type[Entry], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileServer]:
    made = kind.service(Authority(tmp_path_factory.mktemp("authority")))
    made.start()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def _try_once(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Or a client that tries three times, with a pause before each, would take seconds at each seed."""
    for name in ("redis.retry", "valkey.retry"):
        kind = importlib.import_module(name).Retry
        tried = kind.call_with_retry

        def once(self: Any, *args: Any, tried: Any = tried, **kwargs: Any) -> Any:
            self._retries = 0
            return tried(self, *args, **kwargs)

        monkeypatch.setattr(kind, "call_with_retry", once)


def outcome(kind: type[Entry], place: Place) -> str:
    """What an app sees that connects, works, and asks once more."""
    try:
        return repr(kind(place).meet())
    except Exception as error:  # noqa: BLE001  whatever the driver raises is an outcome here
        return CHANGING.sub("#", f"{type(error).__module__}.{type(error).__qualname__}: {error}")[:500]


@pytest.mark.slow
@pytest.mark.skipif("BACKWATCH_TEST_MUTATIONS" not in os.environ, reason="minutes: where it is asked for")
@pytest.mark.timeout(3_600)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ENTRIES.values(), ids=ENTRIES)
def test_mutated_answers_look_the_same_with_and_without(
    kind: type[Entry], service: HostileServer, seeded: Callable[[int], None], tmp_path: Path
) -> None:
    place = Place(
        port=service.port, ca_file=str(service.authority.ca_file), rounds=1, live=True, answers=tmp_path / "answers"
    )

    seeds = range(max(1, SEEDS // 10) if kind.driver in PATIENT else SEEDS)

    def tried(seed: int) -> str:
        seeded(seed)
        service.hostile = seed % 2 == 1
        return outcome(kind, place)

    bare = [{tried(seed)} for seed in seeds]
    with watched((PROBES | BY_LAYER)[kind.driver.partition(".")[0]]) as told:
        differ = [seed for seed in seeds if tried(seed) not in bare[seed]]
        messages = told()
    # Clients that speak over several connections meet the same bytes in another order: what each may see is asked anew.
    for seed in differ:
        bare[seed] |= {tried(seed) for _ in range(TRIES)}
    with watched((PROBES | BY_LAYER)[kind.driver.partition(".")[0]]):
        still = [seed for seed in differ if not {tried(seed) for _ in range(TRIES)} & bare[seed]]
    assert still == []
    assert len(differ) <= len(seeds) / 4
    judging = Replay(rulebook.make_engine(EngineConfig()))
    list(judging.judge([one.value for one in messages]))
    assert judging.counts.calls
    assert not judging.counts.unreadable
