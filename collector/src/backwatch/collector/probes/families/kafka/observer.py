"""What kafka-python's probe and aiokafka's share: connections that become sessions, brokers, and how a call is told.

A client of ours is known by its own configuration and told nowhere, whoever calls it. What is finished elsewhere (a
message that is acknowledged) is told then, with the caller of the beginning.
"""

from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload import message_forms
from backwatch.collector.payload.formats import MAX_MEMBERS, Facts, detect_formats
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.kafka.session import Hub, Link, of_socket
from backwatch.collector.probes.toolkit.messages import MAX_SAMPLES, OURS, asked, is_ours, names_in, size_of_headers
from backwatch.collector.probes.toolkit.nodes import address, announced
from backwatch.collector.probes.toolkit.sockets import root_error
from backwatch.collector.redaction import messaging
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CLIENT, CONSUMER, Caller, Session
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters

KEY: Final = "_backwatch_kafka"
"""Where the driver's objects keep what we know of them."""
Error = BaseException | None


class Turn:
    """One poll that is on its way."""

    __slots__ = ("hub", "samples", "start_ns", "topic", "unpacked")

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.start_ns = time_ns()
        self.topic = ""
        self.samples: dict[str, list[Any]] = {}
        """Values as they came, where the app has them deserialised."""
        self.unpacked: dict[str, tuple[int, int]] = {}
        """Bytes of compressed batches by topic: as they came, and unpacked."""

    def taking(self, topic: Any) -> None:
        """From here on what is unpacked is of that topic."""
        if isinstance(topic, str):
            self.topic = topic

    def opened(self, before: int, after: int) -> None:
        """A compressed batch was unpacked."""
        if self.topic:
            wire, size = self.unpacked.get(self.topic, (0, 0))
            self.unpacked[self.topic] = (wire + before, size + after)

    def sampled(self, data: Any) -> None:
        """A value is about to be deserialised by the app's own function."""
        found = self.samples.setdefault(self.topic, [])
        if len(found) < MAX_SAMPLES:
            found.append(data)


def size_of_record(one: Any) -> int:
    """Bytes of key, value and headers as they came."""
    size, key, headers = one.serialized_value_size, one.serialized_key_size, getattr(one, "serialized_header_size", -1)
    if headers < 0 and one.headers:  # aiokafka counts none
        headers = size_of_headers(one.headers)
    return max(size, 0) + max(key, 0) + max(headers, 0)


def status(error: Error) -> Facts:
    """The broker's own number for an error."""
    code = getattr(error, "errno", None)
    return ((names.STATUS_CODE, str(code)),) if type(code) is int and -1 <= code < 10_000 else ()


def swollen(batches: tuple[tuple[int, int], ...]) -> Facts:
    """Of compressed batches: bytes as they came, and unpacked."""
    if not batches:
        return ()
    return ((names.PAYLOAD_WIRE, sum(one[0] for one in batches)), (names.PAYLOAD_SIZE, sum(one[1] for one in batches)))


class Sending:
    """A message, or a commit, whose end the driver's own thread will see."""

    __slots__ = ("asked", "caller", "estimated", "kind", "operation", "owner", "partition", "start_ns", "watch")

    def __init__(self, watch: "KafkaWatch", operation: str, owner: Any, start_ns: int, caller: Caller | None) -> None:
        self.watch = watch
        self.operation = operation
        self.owner = owner
        self.start_ns = start_ns
        self.caller = caller
        self.asked = asked(operation, None)
        self.estimated: tuple[int, int] = UNKNOWN
        self.kind = CLIENT
        self.partition: Any = None

    def succeeded(self, _value: object) -> None:
        """Acknowledged."""
        self.watch.ended(self, None)

    def failed(self, error: BaseException) -> None:
        """Given up."""
        self.watch.ended(self, error)


class KafkaWatch:
    """Follows the clients of one driver."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder: Recorder | None = recorder

    def silence(self) -> None:
        """The probe is removed: nothing is told from now on."""
        self.recorder = None

    # --- whose client, which session ---

    def owner(self, client: Any) -> Any:
        """What holds the connections of a producer, a consumer or an administrator."""
        raise NotImplementedError

    def config(self, owner: Any) -> dict[str, Any]:
        """What the app asked for, in kafka-python's words."""
        return owner.config

    def connection(self, owner: Any, node: Any) -> Any:
        """The connection to a broker, ``None`` where there is none."""
        return owner._conns.get(node)

    def learnt(self, hub: Hub, socket: Any, version: object = None) -> tuple[Session, int]:
        """The session of a connection that stands, and the descriptor to count its bytes."""
        return of_socket(hub, socket, version)

    def hub(self, owner: Any) -> Hub:
        """Of what holds the connections; learnt at the first sight of it."""
        hub: Hub | None = owner.__dict__.get(KEY)
        if hub is None:
            hub = owner.__dict__[KEY] = Hub(self.config(owner))
            owner.cluster.__dict__[KEY] = hub
        return hub

    def session(self, owner: Any, partition: Any = None) -> Session:
        """Of the connection to the partition's leader, else of the one that was made last."""
        hub = self.hub(owner)
        if partition is not None:
            node = owner.cluster.leader_for_partition(partition)
            connection = self.connection(owner, node) if node is not None else None
            link = connection.__dict__.get(KEY) if connection is not None else None
            if link is not None and link.session is not None:
                return hub.named(link.session)
        return hub.latest

    # --- connects ---

    def link(self, connection: Any, owner: Any) -> Link | None:
        """Of a connection; ``None`` where nobody knows which client makes it."""
        link: Link | None = connection.__dict__.get(KEY)
        if link is None and owner is not None:
            link = connection.__dict__[KEY] = Link(self.hub(owner))
        return link

    @never_breaks_the_host
    def connecting(self, connection: Any, owner: Any) -> Link | None:
        """A connection begins to be made, or goes on with it."""
        if self.recorder is None:
            return None
        link = self.link(connection, owner)
        if link is None or link.hub.own:
            return None
        if not link.start_ns:
            link.start_ns, link.session = time_ns(), None
        return link

    @never_breaks_the_host
    def seen(self, connection: Any, socket: Any) -> None:
        """It speaks to a broker; its login, if there is one, is yet to come."""
        link: Link | None = connection.__dict__.get(KEY)
        if link is not None and link.start_ns and socket is not None:
            link.session = self.learnt(link.hub, socket)[0]

    @never_breaks_the_host
    def connected(self, link: Link, socket: Any, version: object) -> None:
        """It stands, login and all."""
        start_ns, link.start_ns = link.start_ns, 0
        if not start_ns or self.recorder is None:
            return
        link.session, number = self.learnt(link.hub, socket, version)
        link.hub.latest = link.session
        self.recorder.record_call(link.session, "connect", start_ns=start_ns, wire=SocketCounters(number))

    @never_breaks_the_host
    def connect_failed(self, link: Link, error: Error, socket: Any = None) -> None:
        """It failed: TCP, TLS or login. What was true of it until then is told."""
        start_ns, link.start_ns = link.start_ns, 0
        if not start_ns or self.recorder is None:
            return
        if socket is not None:
            link.session = self.learnt(link.hub, socket)[0]
        told = "error" if error is None else root_error(error)
        session = link.session or link.hub.latest
        self.recorder.record_call(session, "connect", start_ns=start_ns, error=told, facts=status(error))

    @never_breaks_the_host
    def announced(self, cluster: Any) -> None:
        """Brokers were announced; told where they are others than before."""
        hub: Hub | None = cluster.__dict__.get(KEY)
        if hub is None or hub.own or self.recorder is None:
            return
        nodes = frozenset((broker.host, broker.port) for broker in cluster.brokers())
        if nodes == hub.nodes or not nodes:
            return
        hub.nodes = nodes
        hub.identified(getattr(cluster, "cluster_id", None))
        facts = announced(address(*node) for node in nodes)
        self.recorder.record_call(hub.latest, "metadata", statement="metadata", start_ns=time_ns(), facts=facts)

    # --- messages ---

    @never_breaks_the_host
    def ended(self, sending: Sending, error: Error) -> None:
        """A message was acknowledged or given up, or a commit was answered."""
        if self.recorder is not None:
            statement, facts = sending.asked
            self.recorder.record_call(
                self.session(sending.owner, sending.partition), sending.operation, statement=statement,
                start_ns=sending.start_ns, estimated=sending.estimated, rows_affected=self.rows_of(sending),
                error=error, facts=facts + status(error), kind=sending.kind, caller=sending.caller,
            )  # fmt: skip

    def rows_of(self, sending: Sending) -> int:  # noqa: ARG002  a driver that sends many at once says so
        """Messages of one call, where they are more than one."""
        return -1

    def told_polled(self, consumer: Any, turn: Turn, found: Any, error: Error) -> None:
        """A poll ended: one record per topic, none where it brought nothing."""
        by_topic: dict[str, list[Any]] = {}
        for partition, records in (found or {}).items():
            by_topic.setdefault(partition.topic, []).append((partition, records))
        for topic, portions in by_topic.items():
            if not is_ours(topic):
                self._told_of(consumer, turn, topic, portions)
        if error is not None and not is_ours(turn.topic):
            self._poll(consumer, turn, turn.topic or None, error=error)

    def _told_of(self, consumer: Any, turn: Turn, topic: str, portions: list[tuple[Any, list[Any]]]) -> None:
        rows = size = forms = 0
        values: list[Any] = []
        for _, records in portions:
            rows += len(records)
            size += sum(map(size_of_record, records))
            for one in records:
                forms |= message_forms.detect_form(one) or 0
            if topic not in turn.samples and len(values) < MAX_MEMBERS:
                values += [one.value for one in records]
        self._poll(consumer, turn, topic, portions[0][0], values=values, rows=rows, size=size, forms=forms)

    def _poll(
        self, consumer: Any, turn: Turn, topic: str | None, partition: Any = None, *, values: list[Any] | None = None,
        rows: int = -1, size: int = -1, forms: int = 0, error: Error = None,
    ) -> None:  # fmt: skip
        if self.recorder is None:
            return
        statement, facts = asked("poll", topic)
        facts += detect_formats(turn.samples.get(topic or "") or values) + message_forms.to_facts(forms) + status(error)
        if topic in turn.unpacked:
            facts += swollen((turn.unpacked[topic],))
        self.recorder.record_call(
            self.session(self.owner(consumer), partition), "poll", statement=statement, start_ns=turn.start_ns,
            estimated=(-1, size) if size >= 0 else UNKNOWN, rows_returned=rows, error=error, facts=facts, kind=CONSUMER,
        )  # fmt: skip

    # --- everything else ---

    @never_breaks_the_host
    def done(self, client: Any, start_ns: int, operation: str, argument: Any, error: Error) -> None:
        """An operation that the driver waits for itself."""
        if self.recorder is None:
            return
        found = names_in(argument)
        if found and OURS.issuperset(found):
            return
        statement = messaging.to_statement(operation, found)
        session = self.session(self.owner(client))
        self.recorder.record_call(
            session, operation, statement=statement, start_ns=start_ns, error=error, facts=status(error),
        )  # fmt: skip
