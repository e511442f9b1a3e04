"""Which answer belongs to which request on an AMQP connection; for every client that shows its methods by their names.

A connection is shared by its channels, so a call's bytes are the sizes of its own frames, told as an estimate; only
those of ``connect`` are the kernel's count.
"""

import re
import time
from collections import deque
from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from backwatch.collector import names
from backwatch.collector.payload.formats import Facts, detect_formats
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.amqp.state import (
    MAX_CONSUMERS,
    MAX_PENDING,
    Lane,
    Link,
    Request,
    answer_due,
    is_call,
    request,
)
from backwatch.collector.probes.toolkit.redelivery import Returning
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.redaction import amqp as redact
from backwatch.collector.runtime.record import CLIENT, CONSUMER, PRODUCER

_REASON: Final = re.compile(r"[A-Z][A-Z_]{2,40}")
_MECHANISMS: Final = {"PLAIN": "clear-password", "AMQPLAIN": "clear-password", "RABBIT-CR-DEMO": "rabbit-cr-demo"}
UNASKED: Final = frozenset((
    "Connection.Blocked", "Connection.Unblocked", "Basic.Cancel", "Basic.Nack", "Channel.Flow",
))  # fmt: skip
"""What a broker says without being asked."""


class Core:
    """The connections of one process.

    Drivers call it from guarded places, before they act on what is told here themselves: what happens next may be the
    app's own code.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.active = True
        self.returning = Returning()
        self.links: WeakKeyDictionary[Any, Link] = WeakKeyDictionary()

    def silence(self) -> None:
        """The probe is removed: nothing is told from now on."""
        self.active = False

    def asked(
        self, link: Link, channel: int, method: str, fields: Any, *, start_ns: int, sent: int, answered: bool = True
    ) -> None:
        """A method was sent."""
        if method == "Connection.StartOk":
            self.logging_in(link, getattr(fields, "mechanism", ""), getattr(fields, "response", None))
        elif is_call(method):
            one = request(method, fields, start_ns, sent)
            lane = link.lane(channel)
            if not answered:
                self.tell(link, one)
                return
            waiting = lane.pending.setdefault(answer_due(method), deque())
            if len(waiting) < MAX_PENDING:
                waiting.append(one)

    def logging_in(self, link: Link, mechanism: object, response: object) -> None:
        """The client says who it is; of the secret nothing is looked at."""
        word = words(mechanism, 30).upper()
        facts: dict[str, Any] = {"auth_method": _MECHANISMS.get(word, word.lower())}
        if word == "PLAIN" and not link.session.account and isinstance(response, (bytes, str)):
            parts = response.split(b"\0" if isinstance(response, bytes) else "\0")  # type: ignore[arg-type]
            facts["account"] = words(parts[1]) if len(parts) == 3 else ""
        link.session = replace(link.session, encoded=[], **facts)

    def answered(self, link: Link, channel: int, method: str, fields: Any) -> None:
        """A method came in; content is told by :meth:`delivered` and its kin."""
        if method == "Connection.Start":
            link.session = replace(link.session, encoded=[], **server_facts(getattr(fields, "server_properties", None)))
        elif method == "Connection.OpenOk":
            self.opened(link)
        elif method in ("Channel.Close", "Connection.Close"):
            self.refused(link, channel, fields, whole=method == "Connection.Close")
        elif method in UNASKED:
            link.notices += 1
        elif method == "Basic.GetEmpty":
            self._got(link, channel, 0, ())
        elif method.endswith("Ok") and method != "Basic.GetOk":
            self._answer(link, link.lane(channel), method, fields)

    def _answer(self, link: Link, lane: Lane, method: str, fields: Any) -> None:
        waiting = lane.pending.get(method)
        if not waiting:
            lane.received = 0
            return
        one = waiting.popleft()
        affected = -1
        if method in ("Queue.PurgeOk", "Queue.DeleteOk"):
            count = getattr(fields, "message_count", None)
            affected = count if isinstance(count, int) else -1
        elif method == "Basic.ConsumeOk":
            self.consuming(lane, one, fields)
        self.tell(link, one, lane, affected=affected)

    def consuming(self, lane: Lane, one: Request, answer: Any) -> None:
        """A consumer is there: what is delivered bears its tag, not the queue."""
        tag = one.tag or getattr(answer, "consumer_tag", None)
        if isinstance(tag, str) and len(lane.consumers) < MAX_CONSUMERS:
            lane.consumers[tag] = one.destination

    def opened(self, link: Link) -> None:
        """The connection is there."""
        link.open = link.told = True
        self.recorder.record_call(link.session, "connect", start_ns=link.start_ns, wire=link.wire)

    def failed(self, link: Link, error: BaseException | str) -> None:
        """It could not be made, or the login was refused."""
        if not link.told:
            link.told = True
            self.recorder.record_call(
                link.session, "connect", start_ns=link.start_ns, wire=link.wire, error=error,
                facts=link.facts("", code_facts(error)),
            )  # fmt: skip

    def refused(self, link: Link, channel: int, fields: Any, *, whole: bool) -> None:
        """The broker closes a channel, or all of the connection, mostly for a request that it will not have."""
        code = getattr(fields, "reply_code", 0)
        if not link.open or code in (0, 200):
            return
        error, facts = reason(code, getattr(fields, "reply_text", ""))
        lanes = list(link.lanes.values()) if whole else [link.lane(channel)]
        told = False
        for lane in lanes:
            for waiting in lane.pending.values():
                for one in waiting:
                    self.tell(link, one, lane, error=error, facts=facts)
                    told = True
            lane.pending.clear()
            lane.consumers.clear()
        if not told:  # a message that could not be published, an acknowledgement of nothing
            operation = "CONNECTION.CLOSE" if whole else "CHANNEL.CLOSE"
            now = time.time_ns()
            self.tell(link, Request(operation, operation, "", now, 0), error=error, facts=facts)

    def tell(
        self, link: Link, one: Request, lane: Lane | None = None, *, error: BaseException | str | None = None,
        affected: int = -1, rows: int = -1, facts: Facts = (), kind: int = CLIENT,
        estimated: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """One call has ended. Its bytes are those of its own frames, unless ``estimated`` says otherwise."""
        received = 0
        if lane is not None:
            received, lane.received = lane.received, 0
        self.recorder.record_call(
            link.session, one.operation, statement=one.statement, start_ns=one.start_ns,
            estimated=(one.sent, received) if estimated is None else estimated, rows_returned=rows,
            rows_affected=affected, error=error, facts=link.facts(one.destination, facts), kind=kind,
        )  # fmt: skip

    def published(self, link: Link, one: Request, error: BaseException | None = None, facts: Facts = ()) -> None:
        """A message was sent."""
        self.tell(link, one, error=error, facts=facts, kind=PRODUCER)

    def delivered(self, link: Link, channel: int, fields: Any, body: object, properties: Any = None) -> None:
        """A message came in for a consumer."""
        lane, tag = link.lane(channel), getattr(fields, "consumer_tag", None)
        queue = lane.consumers.get(tag, "") if isinstance(tag, str) else ""
        one = Request("DELIVER", f"DELIVER {queue or '?'}", queue, time.time_ns(), 0)
        facts = self.content_facts(fields, queue, body, properties)
        self.tell(link, one, lane, rows=1, facts=facts, kind=CONSUMER)

    def got(self, link: Link, channel: int, fields: Any, body: object, properties: Any = None) -> None:
        """A message came in that was asked for."""
        waiting = link.lane(channel).pending.get("Basic.GetOk")
        queue = waiting[0].destination if waiting else ""
        self._got(link, channel, 1, self.content_facts(fields, queue, body, properties))

    def content_facts(self, fields: Any, queue: str, body: object, properties: Any) -> Facts:
        """What a message is, and how often it came before."""
        if getattr(fields, "redelivered", False):
            headers = getattr(properties, "headers", None)
            return (*detect_formats(body), *self.returning.facts(queue, body, headers))
        return detect_formats(body)

    def _got(self, link: Link, channel: int, rows: int, facts: Facts) -> None:
        lane = link.lane(channel)
        waiting = lane.pending.get("Basic.GetOk")
        if waiting:
            self.tell(link, waiting.popleft(), lane, rows=rows, facts=facts, kind=CONSUMER)

    def returned(self, link: Link, channel: int, fields: Any) -> None:
        """A message could not be routed, and came back."""
        link.notices += 1
        error, facts = reason(getattr(fields, "reply_code", 0), getattr(fields, "reply_text", ""))
        exchange, key = getattr(fields, "exchange", ""), getattr(fields, "routing_key", "")
        statement = f"RETURN {redact.redact_route(exchange, key)}"
        one = Request("RETURN", statement, redact.redact_name(exchange) or redact.redact_name(key), time.time_ns(), 0)
        self.tell(link, one, link.lane(channel), error=error, facts=facts)


def server_facts(properties: object) -> dict[str, Any]:
    """Version and cluster, as the broker tells them before anybody has logged in."""
    if not isinstance(properties, dict):
        return {}
    plain = {words(key, 40): value for key, value in list(properties.items())[:50]}
    product, version = words(plain.get("product"), 60), words(plain.get("version"), 60)
    return {
        "server_version": f"{product} {version}".strip(),
        "server_id": words(plain.get("cluster_name"), 120),
    }


def reason(code: object, text: object) -> tuple[str, Facts]:
    """The broker's own word for what is wrong, and its number; its text echoes names and values."""
    found = _REASON.match(words(text, 60))
    number = str(code) if isinstance(code, int) and 0 < code < 1000 else ""
    return (found[0] if found else number or "closed"), ((names.STATUS_CODE, number),) if number else ()


def code_facts(error: object) -> Facts:
    """The broker's number in an error of the driver."""
    for name in ("reply_code", "code"):
        code = getattr(error, name, None)
        if isinstance(code, int) and 0 < code < 1000:
            return ((names.STATUS_CODE, str(code)),)
    return ()
