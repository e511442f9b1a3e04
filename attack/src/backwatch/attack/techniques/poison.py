"""E5: a broker hands out a message that cannot be read, and the same again as often as it is given back."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

POISON = b'{"order": 7, "lines": ['
"""What ends before its time."""
PATIENCE = 30
"""How many messages a worker takes in the pack."""


class _Turning(AMQP):
    def message(self, body: bytes) -> bytes:
        return POISON if self.hostile else super().message(body)


class GivesBack(Scenario):
    """A worker that gives back what it cannot read, so that nothing is lost, and takes the next: it is the same."""

    code = "E5"
    attack = "hands out a message that nobody can read, and the same again whenever it is given back"
    reference = "https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling; ATT&CK T1499.004"
    notices = "work that is not done any more"
    rule = "redelivery-loop"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the broker."""
        return _Turning(authority)

    def work(self) -> None:
        """Queues an order, and does it."""
        self.meet()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the worker processed nothing else."""
        del service
        return got == PATIENCE
