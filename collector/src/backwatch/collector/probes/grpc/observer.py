"""One call per RPC, recorded when it has ended: its status, the messages each way, and their bytes.

An RPC is made through a twin of the app's own callable, whose serialisers count. So messages are counted on any
thread of gRPC, in every shape of RPC, and no object of gRPC is replaced while the RPC runs.
"""

import sys
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes.grpc.session import STATE_ATTRIBUTE, UNKNOWN, GrpcChannelState
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.observers import RecordingObserver
from backwatch.collector.redaction import rpc
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Caller

PREFIX_BYTES: Final = 5
"""Prefix of each message in HTTP/2: whether it is packed, and its length."""
MAX_METADATA_PAIRS: Final = 100
_CLIENT_STATUSES: Final = frozenset(("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL", "UNKNOWN"))
"""Statuses that a client sets itself where no response came."""


class InFlightRpc:
    """One RPC in flight."""

    __slots__ = (
        "authorization", "bytes_received", "bytes_sent", "caller", "certified", "method", "on_message", "received",
        "reported", "sent", "start_ns", "state", "streams",
    )  # fmt: skip

    def __init__(self, state: GrpcChannelState, method: str, *, streams: bool, caller: Caller | None) -> None:
        self.state = state
        self.method = method
        self.streams = streams
        self.caller = caller
        self.start_ns = time.time_ns()
        self.authorization: object = None
        self.on_message: Callable[[], object] | None = None
        """Called once the only message has come: asyncio learns of the end earlier."""
        self.certified = self.reported = False
        self.sent = self.received = self.bytes_sent = self.bytes_received = 0

    def count_sent(self, serializer: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
        """Return the app's serializer, with a counter."""

        def count(message: Any) -> Any:
            packed = message if serializer is None else serializer(message)
            self.sent += 1
            self.bytes_sent += PREFIX_BYTES + _size(packed)
            return packed

        return count

    def count_received(self, deserializer: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
        """Return the app's deserializer likewise."""

        def count(packed: Any) -> Any:
            self.received += 1
            self.bytes_received += PREFIX_BYTES + _size(packed)
            if self.on_message is not None:
                self.on_message()
                self.on_message = None
            return packed if deserializer is None else deserializer(packed)

        return count


def _size(packed: Any) -> int:
    return len(packed) if isinstance(packed, (bytes, bytearray, memoryview)) else 0


class GrpcCallObserver(RecordingObserver):
    """The RPCs of one process."""

    @never_breaks_the_host
    def begin(
        self, callable_: Any, args: tuple[Any, ...], options: dict[str, Any], streams: bool
    ) -> tuple[Any, InFlightRpc] | None:
        """Begin an RPC: return the callable that is to make it, and its state."""
        if self.recorder is None:
            return None
        state = vars(callable_).get(STATE_ATTRIBUTE)
        if not isinstance(state, GrpcChannelState):  # a channel older than this probe
            state = vars(callable_)[STATE_ATTRIBUTE] = GrpcChannelState(callable_._channel.target(), UNKNOWN, None)
        call = InFlightRpc(
            state, rpc.redact_method(callable_._method), streams=streams, caller=self.recorder.capture_caller()
        )
        given = dict(zip(("request", "timeout", "metadata", "credentials"), args, strict=False)) | options
        call.certified = given.get("credentials") is not None
        call.authorization = _authorization(given.get("metadata"))
        twin = _twin(callable_)
        twin._request_serializer = call.count_sent(callable_._request_serializer)
        twin._response_deserializer = call.count_received(callable_._response_deserializer)
        return twin, call

    @never_breaks_the_host
    def on_error(self, call: InFlightRpc, error: BaseException) -> None:
        """Record an RPC that ended with an error, or could not begin."""
        code = getattr(error, "code", None)
        status = _name_of(code()) if callable(code) else ""
        self.record(call, status, error)

    @never_breaks_the_host
    def on_return(self, call: InFlightRpc, _result: object) -> None:
        """Record an RPC that succeeded."""
        self.record(call, "OK", None)

    def record(self, call: InFlightRpc, status: str, error: Error) -> None:
        """Record an RPC. Only the first call counts."""
        if call.reported or self.recorder is None:
            return
        call.reported = True
        failed = status not in ("", "OK")
        answered = call.received > 0 or (status not in _CLIENT_STATUSES and (error is None or status != ""))
        session = call.state.session(call.authorization, certified=call.certified, answered=answered)
        self.recorder.record_call(
            session, call.method, start_ns=call.start_ns, statement=call.method,
            estimated=(call.bytes_sent, call.bytes_received), rows_returned=call.received,
            rows_affected=call.sent if call.streams else -1, error=status if failed else error,
            facts=((names.STATUS_CODE, status),) if failed else (), caller=call.caller,
        )  # fmt: skip

    @never_breaks_the_host
    def follow(self, call: InFlightRpc, result: Any) -> None:
        """Record a call that goes on, when gRPC reports its end. Only gRPC's own state is kept until then."""
        state = result._state

        @never_breaks_the_host
        def done() -> None:
            self.record(call, _name_of(state.code), None)

        if not result.add_callback(done):
            done()

    @never_breaks_the_host
    def follow_task(self, call: InFlightRpc, result: Any, *, unary: bool) -> None:
        """Record a call of asyncio's likewise.

        Args:
            unary: The response is one message.
        """
        inner = getattr(result, "_cython_call", None)

        @never_breaks_the_host
        def done(ended: Any = None) -> None:
            status = _status_of(inner) if inner is not None else _name_of(_step(ended.code()))
            if unary and status == "OK" and not call.received:
                call.on_message = never_breaks_the_host(lambda: self.record(call, status, None))
            else:
                self.record(call, status, None)

        if inner is None:  # one that interceptors make
            result.add_done_callback(done)
        elif inner.done():
            done()
        else:
            inner.add_done_callback(done)


def _twin(callable_: Any) -> Any:
    """Return a copy, whose attributes are the same objects."""
    kind = type(callable_)
    twin = object.__new__(kind)
    twin.__dict__.update(vars(callable_))
    for name in _slots(kind):
        if hasattr(callable_, name):
            setattr(twin, name, getattr(callable_, name))
    return twin


@lru_cache(maxsize=64)
def _slots(kind: type) -> tuple[str, ...]:
    named = (slot for base in kind.__mro__ for slot in vars(base).get("__slots__", ()))
    return tuple(slot for slot in named if slot not in ("__dict__", "__weakref__"))


def _authorization(metadata: Any) -> object:
    if not isinstance(metadata, Iterable) or isinstance(metadata, (str, bytes)) or not hasattr(metadata, "__len__"):
        return None  # an iterator would be used up by looking at it
    for pair in islice(metadata, MAX_METADATA_PAIRS):
        if isinstance(pair, tuple) and len(pair) == 2 and pair[0] == "authorization":
            return pair[1]
    return None


def _name_of(code: Any) -> str:
    name = getattr(code, "name", "")
    return name if isinstance(name, str) else ""


def _step(waiting: Any) -> Any:
    """Return the result of a coroutine that need not wait any more; ``None`` where it would."""
    try:
        waiting.send(None)
    except StopIteration as done:
        return done.value
    except BaseException:  # noqa: BLE001  including asyncio's cancellation: of the call, not of this task
        return None
    finally:
        waiting.close()
    return None


def _status_of(inner: Any) -> str:
    code = getattr(_step(inner.status()), "code", None)
    number = code() if callable(code) else None
    grpc = sys.modules["grpc"]
    return next((status.name for status in grpc.StatusCode if status.value[0] == number), _name_of(number))
