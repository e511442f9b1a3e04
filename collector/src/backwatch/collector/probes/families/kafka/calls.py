"""The calls of Kafka clients: operations that the driver waits for, and calls that end elsewhere.

A call that ends elsewhere (a message that is acknowledged) is recorded at its end, with the caller of its beginning.
"""

from contextvars import ContextVar
from time import time_ns
from typing import Any, NamedTuple

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.kafka.clients import KafkaClients, status_facts
from backwatch.collector.probes.toolkit.messages import STREAM_TOPICS, is_stream_topic, names_in, operation_text
from backwatch.collector.redaction import messaging
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CLIENT, PRODUCER, Caller, Facts, Session
from backwatch.collector.session.socket_counters import UNKNOWN

Error = BaseException | str | None


def describe_operation(operation: str, argument: object) -> str | None:
    """Return the statement of an operation; ``None`` if it names nothing but Backwatch's own topics.

    Args:
        argument: The first one, which may name topics or groups.
    """
    found = names_in(argument)
    return None if found and STREAM_TOPICS.issuperset(found) else messaging.to_statement(operation, found)


class PendingCall:
    """A call whose end another thread or task reports.

    Attributes:
        caller: Who called; ``None``: who is on the stack when it ends.
        rows: Messages of one call; -1: a single one.
    """

    __slots__ = ("caller", "estimated", "facts", "kind", "operation", "rows", "start_ns", "statement")

    def __init__(self, operation: str, statement: str, start_ns: int, facts: Facts = (), kind: int = CLIENT) -> None:
        self.operation = operation
        self.statement = statement
        self.start_ns = start_ns
        self.facts = facts
        self.kind = kind
        self.caller: Caller | None = None
        self.estimated: tuple[int, int] = UNKNOWN
        self.rows = -1

    def record(self, recorder: Recorder, session: Session, error: Error, facts: Facts = ()) -> None:
        """Record the call, which ends now."""
        recorder.record_call(
            session, self.operation, statement=self.statement, start_ns=self.start_ns, estimated=self.estimated,
            rows_affected=self.rows, error=error, facts=self.facts + facts, kind=self.kind, caller=self.caller,
        )  # fmt: skip


class PartitionCall(PendingCall):
    """A pending call on the connection to a partition's leader."""

    __slots__ = ("clients", "owner", "partition")

    def __init__(
        self, clients: KafkaClients, client: Any, operation: str, statement: str, start_ns: int, facts: Facts = (),
        kind: int = CLIENT,
    ) -> None:  # fmt: skip
        super().__init__(operation, statement, start_ns, facts, kind)
        self.clients = clients
        self.owner = clients.access.owner_of(client)
        self.partition: Any = None

    def on_success(self, _value: object) -> None:
        """Record that the broker has acknowledged the call."""
        self.end(None)

    @never_breaks_the_host
    def end(self, error: BaseException | None) -> None:
        """Record the call with its error, if any."""
        recorder = self.clients.recorder
        if recorder is not None:
            self.record(recorder, self.clients.session_of(self.owner, self.partition), error, status_facts(error))


def new_delivery(clients: KafkaClients, producer: Any, start_ns: int, topic: object) -> PartitionCall | None:
    """Return the delivery of a message; ``None`` for Backwatch's own topics."""
    if clients.recorder is None or is_stream_topic(topic):
        return None
    statement, facts = operation_text("send", topic)
    delivery = PartitionCall(clients, producer, "send", statement, start_ns, facts, PRODUCER)
    delivery.caller = clients.recorder.capture_caller()
    return delivery


class InFlightOperation(NamedTuple):
    """An operation that the driver waits for."""

    operation: str
    argument: Any
    start_ns: int


class OperationObserver:
    """The observer of one driver's operations.

    Args:
        scope: Holds the operation while the driver is called: calls inside it are not recorded.
    """

    def __init__(self, clients: KafkaClients, scope: ContextVar[InFlightOperation | None]) -> None:
        self.clients = clients
        self.scope = scope

    @never_breaks_the_host
    def start_ns(self, client: Any) -> int:
        """Return the current time; 0 if calls are not recorded now: internal, or part of an operation."""
        return time_ns() if self.scope.get() is None and self.clients.is_observed(client) else 0

    @never_breaks_the_host
    def on_operation(
        self, operation: str, argument: str | None, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> InFlightOperation | None:
        """Handle the start of an operation.

        Args:
            argument: The argument that may name topics or groups; ``None``: the first, under any name.
        """
        start_ns = self.start_ns(client)
        if not start_ns:
            return None
        by_name = next(iter(kwargs.values()), None) if argument is None else kwargs.get(argument)
        return InFlightOperation(operation, args[0] if args else by_name, start_ns)

    @never_breaks_the_host
    def on_operation_end(
        self, client: Any, operation: InFlightOperation, _result: Any, error: BaseException | None
    ) -> None:
        """Record an operation."""
        recorder, statement = self.clients.recorder, describe_operation(operation.operation, operation.argument)
        if recorder is None or statement is None:
            return
        session = self.clients.session_of(self.clients.access.owner_of(client))
        recorder.record_call(
            session, operation.operation, statement=statement, start_ns=operation.start_ns, error=error,
            facts=status_facts(error),
        )  # fmt: skip
