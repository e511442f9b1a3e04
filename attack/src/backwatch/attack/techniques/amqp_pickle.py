"""D4: a broker delivers a pickle that runs a program when it is read."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.protocols.pickles import bomb
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.pickle import ReadsPickles


class _Turning(AMQP):
    def message(self, body: bytes) -> bytes:
        return bomb() if self.hostile else super().message(body)


class QueuesPickles(ReadsPickles):
    """An app that queues Python objects."""

    code = "D4"
    attack = "hands out a pickle that runs a program as soon as it is read, in a message's place"
    reference = "CVE-2021-23727; https://docs.python.org/3/library/pickle.html; ATT&CK T1059.006"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the broker."""
        return _Turning(authority)

    def work(self) -> None:
        """Queue an order, and take one."""
        self.meet()
