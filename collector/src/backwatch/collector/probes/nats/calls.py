"""The reports of nats-py's calls: connects, messages published and delivered, requests, refusals of the server.

Messages that the driver itself sends on the way (acknowledgements, flow control, the request for the next messages)
are no calls. What is delivered is told together, by the subject that was subscribed to.
"""

from contextvars import ContextVar
from time import time_ns
from typing import Any, Final

from backwatch.collector.payload.formats import Facts, detect_formats
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.nats import session as facts_about
from backwatch.collector.probes.toolkit.deferred_flush import settle
from backwatch.collector.probes.toolkit.messages import Gathered, asked, size_of, size_of_headers
from backwatch.collector.probes.toolkit.nodes import announced
from backwatch.collector.probes.toolkit.redelivery import returned_by_nats
from backwatch.collector.probes.toolkit.sockets import root_error
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CLIENT, CONSUMER, PRODUCER, Session
from backwatch.collector.session.socket_counters import SocketCounters

KEY: Final = "_backwatch_nats"
"""Where a client keeps what we know of it."""
PLUMBING: Final = ("$JS.ACK.", "$JS.FC.", "$JS.API.CONSUMER.MSG.NEXT.")
MAX_SUBJECTS: Final = 256
Error = BaseException | str | None


class State:
    """What is known of one client.

    Attributes:
        uri: Of the server that it speaks to, or tries to.
        start_ns: Since when it connects; 0: it does not.
        coming: The subscription of the message that is being read: a last message ends it before it is built.
    """

    __slots__ = ("coming", "nodes", "session", "start_ns", "taken", "uri")

    def __init__(self) -> None:
        self.session: Session | None = None
        self.uri: Any = None
        self.start_ns = 0
        self.nodes: tuple[str, ...] = ()
        self.coming: Any = None
        self.taken: dict[str, Gathered] = {}


class NatsWatch:
    """Follows nats-py's clients."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder: Recorder | None = recorder
        self.opener: ContextVar[Any] = ContextVar("backwatch_nats_opener", default=None)
        """A weak reference to the client that is making a connection."""
        self.inside: ContextVar[bool] = ContextVar("backwatch_nats_inside", default=False)

    def silence(self) -> None:
        """The probe is removed: nothing is told from now on."""
        self.recorder = None

    def state(self, client: Any) -> State:
        """Of a client; learnt at the first sight of it."""
        state: State | None = client.__dict__.get(KEY)
        if state is None:
            state = client.__dict__[KEY] = State()
        return state

    def session(self, client: Any) -> Session:
        """Of its present connection."""
        state = self.state(client)
        if state.session is None:  # it stood before we came
            server = client._current_server
            uri = server.uri if server is not None else state.uri
            if uri is None:
                return Session(system="nats")
            state.session = facts_about.of(client, uri, stands=client.is_connected)[0]
        return state.session

    def _tell(self, session: Session, operation: str, start_ns: int, **more: Any) -> None:
        if self.recorder is not None:
            self.recorder.record_call(session, operation, start_ns=start_ns, **more)

    # --- connects ---

    @never_breaks_the_host
    def opening(self, client: Any, uri: Any) -> None:
        """A transport begins to be made."""
        state = self.state(client)
        state.uri, state.start_ns, state.session = uri, time_ns(), None

    @never_breaks_the_host
    def not_opened(self, client: Any, error: BaseException) -> None:
        """There is no transport."""
        state = self.state(client)
        start_ns, state.start_ns = state.start_ns, 0
        uri = state.uri
        session = Session(
            system="nats", address=uri.hostname or "", port=uri.port or facts_about.PORT,
            **facts_about.asked_for(client, uri.scheme),
        )  # fmt: skip
        if start_ns:
            self._tell(session, "connect", start_ns, error=root_error(error))

    @never_breaks_the_host
    def connected(self, client: Any) -> None:
        """It stands, TLS and login and all."""
        state = self.state(client)
        start_ns, state.start_ns = state.start_ns or time_ns(), 0
        state.session, number = facts_about.of(client, client._current_server.uri, stands=True)
        urls = facts_about.addresses(client._server_info)
        state.nodes = tuple(sorted(urls))
        self._tell(state.session, "connect", start_ns, wire=SocketCounters(number), facts=announced(urls))

    @never_breaks_the_host
    def not_connected(self, client: Any, error: BaseException) -> None:
        """TLS or the login failed. What was true of it until then is told."""
        state, server = self.state(client), client._current_server
        start_ns, state.start_ns = state.start_ns or time_ns(), 0
        session = facts_about.of(client, server.uri if server is not None else state.uri, stands=False)[0]
        told = facts_about.refusal(str(error)) or root_error(error)
        self._tell(session, "connect", start_ns, error=told)

    @never_breaks_the_host
    def informed(self, client: Any, info: Any) -> None:
        """The server tells of others, later on."""
        state, urls = self.state(client), facts_about.addresses(info)
        nodes = tuple(sorted(urls))
        if nodes and nodes != state.nodes:
            state.nodes = nodes
            self._tell(self.session(client), "info", time_ns(), statement="info", facts=announced(urls))

    @never_breaks_the_host
    def refused(self, client: Any, text: Any) -> None:
        """The server says that it did not like something."""
        word = facts_about.refusal(text)
        if word == "PermissionsViolation":
            operation = "subscribe" if "subscription" in str(text).lower() else "publish"
        else:
            operation = "error"
        self._tell(self.session(client), operation, time_ns(), statement=operation, error=word or "ServerError")

    # --- messages ---

    def began(self, subject: Any = "") -> int:
        """When a call begins; 0 where it lies inside another or is the driver's own."""
        if self.recorder is None or self.inside.get():
            return 0
        return 0 if isinstance(subject, str) and subject.startswith(PLUMBING) else time_ns()

    @never_breaks_the_host
    def sent(self, client: Any, start_ns: int, subject: Any, payload: Any, headers: Any, error: Error) -> None:
        """A message was published, and for a stream also acknowledged."""
        statement, facts = asked("publish", subject)
        self._tell(
            self.session(client), "publish", start_ns, statement=statement, facts=facts, error=error, kind=PRODUCER,
            estimated=(size_of(payload) + size_of_headers(headers), -1),
        )  # fmt: skip

    @never_breaks_the_host
    def answered(
        self, client: Any, start_ns: int, subject: Any, payload: Any, headers: Any, reply: Any, error: Error
    ) -> None:
        """A request was answered, or not."""
        statement, facts = asked("request", subject)
        received, rows = -1, -1
        if reply is not None:
            received, rows = size_of(reply.data) + size_of_headers(reply.headers), 1
            facts += detect_formats(reply.data)
        self._tell(
            self.session(client), "request", start_ns, statement=statement, facts=facts, error=error,
            estimated=(size_of(payload) + size_of_headers(headers), received), rows_returned=rows, kind=CLIENT,
        )  # fmt: skip

    @never_breaks_the_host
    def subscribed(self, client: Any, start_ns: int, subject: Any, error: Error) -> None:
        """The app wants messages."""
        if isinstance(subject, str) and subject.startswith(self._inboxes(client)) and error is None:
            return  # mostly the driver's own; what comes is told
        statement, facts = asked("subscribe", subject)
        self._tell(self.session(client), "subscribe", start_ns, statement=statement, facts=facts, error=error)

    def _inboxes(self, client: Any) -> str:
        prefix = client._inbox_prefix
        return prefix.decode() if isinstance(prefix, (bytes, bytearray)) else str(prefix)

    @never_breaks_the_host
    def coming(self, client: Any, sid: Any) -> None:
        """A message for this subscription begins to be read; ``None``: it has been."""
        if self.recorder is not None:
            self.state(client).coming = client._subs.get(sid)

    @never_breaks_the_host
    def delivered(self, client: Any, subject: Any, reply: Any, data: Any, headers: Any) -> None:
        """A message has come."""
        if self.recorder is None or (headers and not data and "Status" in headers):
            return  # a word of the server's: no more messages, still alive
        name = subject.decode("utf-8", "replace") if isinstance(subject, (bytes, bytearray)) else str(subject)
        strayed = False
        inboxes, subscription = self._inboxes(client), self.state(client).coming
        if subscription is not None:
            wanted = subscription._subject
            if not wanted.startswith(inboxes):
                strayed = name != wanted and not (_is_a_streams(subscription) or facts_about.belongs(name, wanted))
                name = wanted
            elif name.startswith(inboxes) and _is_the_drivers(subscription):
                return  # an answer to a request, which is told there
        times = returned_by_nats(reply) if reply else 0
        known = self._take(client, name)
        known.took(size_of(data) + size_of_headers(headers), data, times=times, sign="other-key" if strayed else "")
        settle(known, self.recorder)

    def _take(self, client: Any, name: str) -> Gathered:
        taken = self.state(client).taken
        known = taken.get(name)
        if known is None:
            if len(taken) >= MAX_SUBJECTS:
                self.flush(client)
                taken = self.state(client).taken
            known = taken[name] = Gathered(name, self._teller(self.session(client)))
        return known

    def _teller(self, session: Session) -> Any:
        @never_breaks_the_host
        def tell(gathered: Gathered, error: BaseException | None) -> None:
            statement, facts = asked("deliver", gathered.name)
            told: Facts = facts + gathered.facts()
            self._tell(
                session, "deliver", gathered.start_ns, statement=statement, facts=told, error=error, kind=CONSUMER,
                estimated=(-1, gathered.bytes), rows_returned=gathered.count, caller=gathered.caller,
            )  # fmt: skip

        return tell

    @never_breaks_the_host
    def flush(self, client: Any) -> None:
        """What has come and was not told yet, is."""
        state = self.state(client)
        taken, state.taken = state.taken, {}
        for one in taken.values():
            one.flush()


def _is_a_streams(subscription: Any) -> bool:
    """Whether JetStream delivers to it, at an address of the app's choice: messages bear their own subjects."""
    return getattr(subscription, "_jsi", None) is not None


def _is_the_drivers(subscription: Any) -> bool:
    if subscription._future is not None:
        return True
    function = getattr(subscription._cb, "__func__", subscription._cb)
    return (getattr(function, "__module__", "") or "").startswith("nats.")
