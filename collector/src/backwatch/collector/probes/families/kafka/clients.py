"""The clients of one Kafka driver: their state and their sessions."""

from typing import Any, Protocol

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.kafka.state import STATE_ATTRIBUTE, KafkaClientState, KafkaConnectionState
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.runtime.record import Facts, Session


class DriverAccess(Protocol):
    """Read access to one driver's objects. A client is a producer, a consumer or an administrator."""

    def owner_of(self, client: Any) -> Any:
        """Return the object that holds a client's connections."""
        ...

    def config_of(self, owner: Any) -> dict[str, Any]:
        """Return the client's options under kafka-python's names."""
        ...

    def connection_to(self, owner: Any, node: Any) -> Any:
        """Return the connection to a broker; ``None`` if there is none."""
        ...

    def session_of(self, client: KafkaClientState, socket: Any, version: object) -> tuple[Session, int]:
        """Return the session of an open connection, and the descriptor to count its bytes."""
        ...


class KafkaClients:
    """The clients of one driver, and where their calls are recorded.

    Backwatch's own clients are known by their configuration and never recorded, whichever code calls them.

    Attributes:
        recorder: ``None`` once the probe is removed.
    """

    def __init__(self, recorder: Recorder, access: DriverAccess) -> None:
        self.recorder: Recorder | None = recorder
        self.access = access

    def state_of(self, owner: Any) -> KafkaClientState:
        """Return the state of the object that holds a client's connections."""
        state: KafkaClientState | None = owner.__dict__.get(STATE_ATTRIBUTE)
        if state is None:
            state = owner.__dict__[STATE_ATTRIBUTE] = KafkaClientState(self.access.config_of(owner))
            owner.cluster.__dict__[STATE_ATTRIBUTE] = state
        return state

    def is_observed(self, client: Any) -> bool:
        """Return whether a client's calls are recorded."""
        return self.recorder is not None and not self.state_of(self.access.owner_of(client)).is_internal

    def session_of(self, owner: Any, partition: Any = None) -> Session:
        """Return the session of the connection to the partition's leader, else of the newest connection."""
        state = self.state_of(owner)
        if partition is not None:
            node = owner.cluster.leader_for_partition(partition)
            connection = self.access.connection_to(owner, node) if node is not None else None
            known: KafkaConnectionState | None = None
            if connection is not None:
                known = connection.__dict__.get(STATE_ATTRIBUTE)
            if known is not None and known.session is not None:
                return state.with_cluster_id(known.session)
        return state.latest


def status_facts(error: Error) -> Facts:
    """Return the broker's number for an error."""
    code = getattr(error, "errno", None)
    return ((names.STATUS_CODE, str(code)),) if type(code) is int and -1 <= code < 10_000 else ()
