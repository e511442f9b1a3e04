"""Responses that a seed mutates: one of each session; then the service half-closes."""

import contextlib
import random
import socket
import time
from dataclasses import dataclass
from typing import Any

from backwatch.attack.protocols.server import ServerSession

PATIENCE_S = 10
"""A service's, with who leaves without a word."""

DAWDLES_S = 0.02


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Return the same bytes with up to three errors."""
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
    """The current mutation: sessions that begin from now on keep it.

    Attributes:
        seed: The seed of the mutation; ``None``: nothing is mutated, and sends are counted.
        at: The index of the mutated send of a session.
        sent: The number of sends of the busiest session.
        last: The index at which its last response began.
        reached: True if a mutation happened.
        dawdles: True if responses take a little, a different time each, so that events meet in other orders.
    """

    def __init__(self) -> None:
        self.seed: int | None = None
        self.at = self.sent = self.last = 0
        self.reached = self.dawdles = False

    def count(self) -> None:
        """Start counting sessions."""
        self.seed, self.sent, self.last = None, 0, 0

    def choose(self, seed: int, sent: int, last: int) -> None:
        """Set another seed; half of the seeds mutate the last response, because apps read that one."""
        chance = random.Random(f"which {seed}")
        self.seed, self.reached = seed, False
        self.at = chance.randrange(last if chance.random() < 0.5 else 0, max(sent, 1))


CHOSEN = Chosen()


@dataclass(slots=True)
class _Talk:
    """The progress of a session.

    Attributes:
        seed, at: The choice at its start.
        sent: The number of its sends.
        sending: True during a response, the sends between two reads.
        mutated: True if this response is the last one.
    """

    seed: int | None
    at: int
    sent: int = 0
    sending: bool = False
    mutated: bool = False


class Mutating(ServerSession):
    """Mutate one send; the response to which it belongs is the last one."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._socket.settimeout(PATIENCE_S)
        self._talk = _Talk(CHOSEN.seed, CHOSEN.at)

    def send(self, data: bytes) -> None:
        """Return all bytes, or the mutated ones."""
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
            with contextlib.suppress(AttributeError):  # on systems other than Linux
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # it arrives together with the end
            data = mutate(data, random.Random(talk.seed))
        super().send(data)

    def read(self, count: int) -> bytes:
        """End the previous response."""
        self._ends()
        return super().read(count)

    def secure(self) -> None:
        """Do the same here."""
        self._ends()
        super().secure()

    def close(self) -> None:
        """Do the same here."""
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
        raw.shutdown(self._socket, socket.SHUT_WR)  # or clients would wait for bytes that never come
        while raw.recv(self._socket, 1 << 16):  # or their later sends would get a reset, or no reply yet
            pass
        raise EOFError
