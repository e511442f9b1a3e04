"""G6 on pika: a queue of orders is emptied."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.amqp_abused import AbusedBroker


class AmqpPurged(AbusedBroker):
    """``queue.purge``, from an app that never used it."""

    attack = "empties a queue whose messages nobody has read"
    reference = "ATT&CK T1485; https://www.rabbitmq.com/docs/queues"
    rule = "queue-purged"

    def meet(self) -> object:
        """Purge the queue as the attacker."""
        self.hand_on("queue_purge", "orders")
        return None

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the broker received the command."""
        del got
        return any(asked.startswith(b"\x00\x32\x00\x1e") for asked in service.kept)
