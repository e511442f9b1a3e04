"""What goes by on ldap3's connections: connect, starttls, bind, and one call per request and its answer.

Requests are seen where they are sent, answers where they are read, so that a referral that the library follows, and
what it asks on the other server, are calls of their own. What it asks by itself while it connects, starts TLS or binds
(the schema, steps of SASL) belongs to that call.
"""

import time
from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.ldap3 import session
from backwatch.collector.probes.ldap3.requests import UNANSWERED, of_call, of_message
from backwatch.collector.probes.ldap3.responses import TERMINATED, Result, cause, is_final, outcome, result_of, rows_of
from backwatch.collector.probes.ldap3.session import Checked, Link, Request, Step
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Caller
from backwatch.collector.session.socket_counters import UNKNOWN

CALLER: Final = "_backwatch_caller"
"""On a request that another thread will send: who made it."""


class LdapWatch:
    """The connections of one process."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.active = True
        self.checked = Checked()
        self._links: WeakKeyDictionary[Any, Link] = WeakKeyDictionary()

    def silence(self) -> None:
        """The probe is removed: nothing is told from now on."""
        self.active = False

    def link(self, connection: Any) -> Link:
        """What is known of a connection, learnt now where it is older than this probe."""
        link = self._links.get(connection)
        if link is None:
            link = self._links[connection] = Link(session.asked(connection))
            link.change(**session.now(connection, self.checked))
            link.count(connection)
            if link.wire is not None:
                link.wire.read_delta()  # what went by before we came belongs to no call of ours
            if getattr(connection, "bound", False):
                link.change(**session.who(connection))
        return link

    # --- what takes several requests ---

    @never_breaks_the_host
    def opening(self, strategy: Any, _args: tuple[Any, ...], _options: dict[str, Any]) -> Step | None:
        """A connection is about to be made, unless that is put off."""
        connection = strategy.connection
        if not self._begins(connection):
            return None
        link = self._links.get(connection)
        if link is None:
            link = self._links[connection] = Link(session.asked(connection))
        link.session, link.wire, link.offered = session.asked(connection), None, None
        link.waiting.clear()
        return link.begin("connect")

    @never_breaks_the_host
    def opened(self, strategy: Any, step: Step, _result: object) -> None:
        """It was made."""
        connection = strategy.connection
        link = self._end(connection, step)
        link.session = replace(session.asked(connection), encoded=[], **session.now(connection, self.checked))
        link.count(connection)
        link.change(**session.said(connection, link))
        if not link.session.encrypted:
            # StartTLS may follow; a session that will be encrypted in a moment is not one in plaintext.
            link.change(encrypted=None)
        self._tell(connection, link, "connect", step.start_ns)

    @never_breaks_the_host
    def not_opened(self, strategy: Any, step: Step, error: BaseException) -> None:
        """It was not."""
        link = self._end(strategy.connection, step)
        self._tell(strategy.connection, link, "connect", step.start_ns, error=step.cause or cause(error))
        step.cause = None  # an error keeps the app's objects alive

    @never_breaks_the_host
    def socket_failed(self, strategy: Any, _: object, error: BaseException) -> None:
        """One address did not answer; the library makes a new error out of the last one."""
        link = self._links.get(strategy.connection)
        step = link.mine() if link is not None else None
        if step is not None:
            step.cause = cause(error)

    @never_breaks_the_host
    def binding(self, connection: Any, _args: tuple[Any, ...], _options: dict[str, Any]) -> Step | None:
        """Somebody is about to bind."""
        return self._step(connection, "bind")

    @never_breaks_the_host
    def securing(self, connection: Any, _args: tuple[Any, ...], _options: dict[str, Any]) -> Step | None:
        """TLS is about to be started."""
        return self._step(connection, "starttls")

    def _begins(self, connection: Any) -> bool:
        strategy = connection.strategy
        if not self.active or strategy.no_real_dsa or strategy.pooled:
            return False
        return not connection.lazy or bool(getattr(connection, "_executing_deferred", False))

    def _step(self, connection: Any, operation: str) -> Step | None:
        if not self._begins(connection):
            return None
        return self.link(connection).begin(operation)

    def _end(self, connection: Any, step: Step) -> Link:
        link = self.link(connection)
        link.end(step)
        return link

    @never_breaks_the_host
    def bound(self, connection: Any, step: Step, _result: object) -> None:
        """The server has answered."""
        link = self._end(connection, step)
        if step.sent:
            self._bound(connection, link, step, None)

    @never_breaks_the_host
    def not_bound(self, connection: Any, step: Step, error: BaseException) -> None:
        """It has refused, and the app wants an exception; or it never came to that."""
        link = self._end(connection, step)
        if step.sent or link.failed == step.failed:
            self._bound(connection, link, step, error)

    def _bound(self, connection: Any, link: Link, step: Step, error: BaseException | None) -> None:
        who = session.who(connection)
        if error is None and step.result is not None and step.result["result"] == 0:
            link.change(**who, **session.said(connection, link))
            self._tell(connection, link, "bind", step.start_ns, result=step.result)
            return
        # Who failed to bind is told with that call only. The connection is nobody's from now on (RFC 4513, 4).
        link.change(account="", auth_method="")
        self._tell(connection, link, "bind", step.start_ns, result=step.result, error=error, changes=who)

    @never_breaks_the_host
    def secured(self, connection: Any, step: Step, _result: object) -> None:
        """TLS was started, or not."""
        link = self._end(connection, step)
        if step.sent:
            self._secured(connection, link, step, None)

    @never_breaks_the_host
    def not_secured(self, connection: Any, step: Step, error: BaseException) -> None:
        """The server has none, or the handshake failed."""
        link = self._end(connection, step)
        if step.sent or link.failed == step.failed:
            self._secured(connection, link, step, cause(error))

    def _secured(self, connection: Any, link: Link, step: Step, error: BaseException | None) -> None:
        if step.result is not None:
            link.offered = step.result["result"] == 0
        link.change(requested=session.tls_asked(connection.server), requested_explicit=True, **session.offered(link))
        if error is None:
            link.change(**session.now(connection, self.checked), **session.said(connection, link))
        self._tell(connection, link, "starttls", step.start_ns, result=step.result, error=error)

    # --- one request, one answer ---

    @never_breaks_the_host
    def queueing(self, _strategy: Any, args: tuple[Any, ...], _options: dict[str, Any]) -> None:
        """Another thread will send this request: who made it goes with it."""
        if self.active and len(args) > 1:
            vars(args[1])[CALLER] = self.recorder.capture_caller()

    @never_breaks_the_host
    def sending(self, strategy: Any, args: tuple[Any, ...], _options: dict[str, Any]) -> Request | Step | None:
        """A request is about to be sent."""
        if not self.active:
            return None
        message, connection = args[0], strategy.connection
        link = self.link(connection)
        number = int(message["messageID"])
        step = link.mine()
        if step is not None:
            if not step.sent and step.operation != "connect":
                step.sent, step.start_ns = True, time.time_ns()
            link.wait(number, step)
            return step
        operation, statement = of_message(message)
        caller: Caller | None = vars(message["protocolOp"].getComponent()).get(CALLER)
        if caller is None and not strategy.sync:
            caller = self.recorder.capture_caller()
        request = Request(operation, statement, caller)
        link.sent += 1
        if operation not in UNANSWERED:
            link.wait(number, request)
        return request

    @never_breaks_the_host
    def sent(self, strategy: Any, request: Request | Step, _result: object) -> None:
        """It was; some have no answer."""
        if isinstance(request, Request) and request.operation in UNANSWERED:
            link = self.link(strategy.connection)
            self._tell(strategy.connection, link, request.operation, request.start_ns, caller=request.caller)

    @never_breaks_the_host
    def not_sent(self, strategy: Any, request: Request | Step, error: BaseException) -> None:
        """The connection is gone."""
        if isinstance(request, Request):
            link = self.link(strategy.connection)
            for number in [number for number, one in list(link.waiting.items()) if one is request]:
                del link.waiting[number]
            self._answer(strategy.connection, link, request, [], None, root_error(error))

    @never_breaks_the_host
    def arrived(self, strategy: Any, number: int) -> None:
        """A reading thread has the whole answer to a request."""
        self.answered(strategy, number, strategy._responses.get(number))

    @never_breaks_the_host
    def answered(self, strategy: Any, number: int, answer: Any, error: BaseException | None = None) -> None:
        """The answer to a request is there: a list of messages whose last but one is the result."""
        link = self._links.get(strategy.connection)
        request = link.waiting.pop(number, None) if link is not None and self.active else None
        if link is None or request is None:
            return
        messages, result = result_of(answer)
        if isinstance(request, Step):
            request.result = result if is_final(result) else request.result
            return
        failure = root_error(error) if error is not None else None if result is not None else TERMINATED
        self._answer(strategy.connection, link, request, messages, result, failure)

    def _answer(
        self, connection: Any, link: Link, request: Request, messages: list[Any], result: Result | None,
        error: BaseException | str | None,
    ) -> None:  # fmt: skip
        self._tell(
            connection, link, request.operation, request.start_ns, statement=request.statement, result=result,
            error=error, rows=rows_of(request.operation, messages, result), caller=request.caller,
        )  # fmt: skip

    # --- what the library refuses to send ---

    @never_breaks_the_host
    def calling(self, connection: Any) -> tuple[int, int] | None:
        """The app asks for something: what had been sent and told by then."""
        if not self.active or connection.strategy.no_real_dsa:
            return None
        link = self.link(connection)
        return link.sent, link.failed

    @never_breaks_the_host
    def refused(
        self, operation: str, connection: Any, before: tuple[int, int], call: tuple[Any, Any], error: BaseException
    ) -> None:
        """It ended in an error without a request: a filter or a name that is none."""
        link = self.link(connection)
        if (link.sent, link.failed) == before:
            self._tell(connection, link, operation, time.time_ns(), statement=of_call(operation, *call), error=error)

    @never_breaks_the_host
    def named(self, socket: Any, valid: Any) -> None:
        """A certificate's name was found right."""
        if self.active:
            self.checked.passed(socket, valid)

    # --- telling ---

    def _see(self, connection: Any, link: Link) -> None:
        """No StartTLS came before this: what is true of the session now is true of its calls."""
        if link.session.encrypted is None:
            link.change(**session.now(connection, self.checked))

    def _tell(
        self, connection: Any, link: Link, operation: str, start_ns: int, *, statement: str = "",
        result: Result | None = None, error: BaseException | str | None = None, rows: tuple[int, int] = UNKNOWN,
        caller: Caller | None = None, changes: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        if operation not in ("connect", "starttls"):
            self._see(connection, link)
        told = replace(link.session, encoded=[], **changes) if changes else link.session
        if type(error).__module__ == "ssl":
            told = replace(told, encoded=[], encrypted=None)  # asked for, but the handshake failed
        code, facts = outcome(result)
        failure = error if error is not None else code
        link.failed += failure is not None
        # A closed connection's number may by now be another one's.
        wire = link.wire if link.number == descriptor(getattr(connection, "socket", None)) else None
        estimated = UNKNOWN
        if wire is not None and not connection.strategy.sync:
            wire, estimated = None, wire.read_delta()  # other calls may be on their way on the same connection
        self.recorder.record_call(
            told, operation, statement=statement, start_ns=start_ns, wire=wire, estimated=estimated,
            rows_returned=rows[0], rows_affected=rows[1], error=failure, facts=facts,
            caller=caller,
        )  # fmt: skip
