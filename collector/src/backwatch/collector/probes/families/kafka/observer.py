"""The common base of the call observers of aiokafka and kafka-python."""

from contextvars import ContextVar

from backwatch.collector.probes.families.kafka.calls import InFlightOperation, OperationObserver
from backwatch.collector.probes.families.kafka.clients import KafkaClients
from backwatch.collector.probes.families.kafka.connections import ConnectionObserver
from backwatch.collector.probes.families.kafka.polls import Poll, PollObserver


class PythonKafkaObserver:
    """The observers of one driver's connections, operations and polls.

    Args:
        clients: The driver's clients and the recorder.
        operation: The operation that is under way in this context.
        poll: The poll that is under way in this context.
    """

    def __init__(
        self, clients: KafkaClients, operation: ContextVar[InFlightOperation | None], poll: ContextVar[Poll | None]
    ) -> None:
        self.clients = clients
        self.connections = ConnectionObserver(clients)
        self.operations = OperationObserver(clients, operation)
        self.polls = PollObserver(clients, poll)

    def disable(self) -> None:
        """Stop recording: the probe is removed."""
        self.clients.recorder = None
