"""Answers that are mutated by a seed: one of each session; then the service half-closes."""

import contextlib
import random
import socket
import time
from dataclasses import dataclass
from typing import Any

from backwatch.attack.protocols.server import Session

PATIENCE_S = 10
"""A service's, with who leaves without a word."""

DAWDLES_S = 0.02


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


class Chosen:
    """What is mutated, and how: sessions that begin from now on keep to it.

    Attributes:
        seed: How; ``None``: nothing is mutated, and what is sent is counted.
        at: Which sending of a session.
        sent: How often the busiest session sent something.
        last: Where its last answer began.
        reached: Whether anything was mutated.
        dawdles: Whether answers take a little, each time another, so that other things meet.
    """

    def __init__(self) -> None:
        self.seed: int | None = None
        self.at = self.sent = self.last = 0
        self.reached = self.dawdles = False

    def count(self) -> None:
        """Sessions are counted from now on."""
        self.seed, self.sent, self.last = None, 0, 0

    def choose(self, seed: int, sent: int, last: int) -> None:
        """Another seed; half of them are the last answer's, for apps read that one."""
        chance = random.Random(f"which {seed}")
        self.seed, self.reached = seed, False
        self.at = chance.randrange(last if chance.random() < 0.5 else 0, max(sent, 1))


CHOSEN = Chosen()


@dataclass(slots=True)
class _Talk:
    """How far a session is.

    Attributes:
        seed, at: What was chosen when it began.
        sent: How often it sent something.
        sending: Whether an answer is under way: what is sent between two readings.
        mutated: Whether this answer is the last one.
    """

    seed: int | None
    at: int
    sent: int = 0
    sending: bool = False
    mutated: bool = False


class Mutating(Session):
    """One thing that it sends is mutated, and the answer to which that belongs is its last one."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._socket.settimeout(PATIENCE_S)
        self._talk = _Talk(CHOSEN.seed, CHOSEN.at)

    def send(self, data: bytes) -> None:
        """All of it, or what becomes of it."""
        talk = self._talk
        if not data:
            return
        if CHOSEN.dawdles and not talk.sending:
            time.sleep(random.SystemRandom().random() * DAWDLES_S)
        talk.sent += 1
        if talk.seed is None and talk.sent > CHOSEN.sent:
            CHOSEN.sent = talk.sent
            CHOSEN.last = CHOSEN.last if talk.sending else talk.sent - 1
        talk.sending = True
        if talk.seed is not None and talk.sent == talk.at + 1:
            talk.mutated = CHOSEN.reached = True
            with contextlib.suppress(AttributeError):  # elsewhere than on Linux
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # it comes together with the end
            data = mutated(data, random.Random(talk.seed))
        super().send(data)

    def read(self, count: int) -> bytes:
        """The answer before is at its end."""
        self._ends()
        return super().read(count)

    def secure(self) -> None:
        """So it is here."""
        self._ends()
        super().secure()

    def close(self) -> None:
        """And here."""
        with contextlib.suppress(OSError, EOFError):
            self._ends()
        super().close()

    def _ends(self) -> None:
        talk = self._talk
        talk.sending = False
        if not talk.mutated:
            return
        talk.mutated = False
        raw: Any = socket.socket
        raw.shutdown(self._socket, socket.SHUT_WR)  # or clients would wait for what never comes
        while raw.recv(self._socket, 1 << 16):  # or what they still send would be answered by a reset, or not yet
            pass
        raise EOFError
