"""E5: a broker delivers an unreadable message, again each time it is requeued."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.amqp import AMQP
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

POISON = b'{"order": 7, "lines": ['
"""A truncated message."""
PATIENCE = 30
"""Maximum number of messages that a worker processes in the pack."""


class _Turning(AMQP):
    def message(self, body: bytes) -> bytes:
        return POISON if self.hostile else super().message(body)


class GivesBack(Scenario):
    """A worker that requeues unreadable messages, so that no data is lost. It receives the same one again."""

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
        """Queue an order, and process it."""
        self.meet()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the worker processed nothing else."""
        del service
        return got == PATIENCE
