"""One call per RPC, told when it has ended: its status, how many messages went each way, and their bytes.

An RPC is made through a twin of the app's own callable, whose serialisers count. So messages are counted on whatever
thread gRPC handles them, in every shape of RPC, and nothing of gRPC's own is replaced while the RPC runs.
"""

import sys
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.grpc.session import KEY, UNKNOWN, Link
from backwatch.collector.redaction import rpc
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Caller

PREFIX_BYTES: Final = 5
"""What HTTP/2 carries in front of each message: whether it is packed, and its length."""
MAX_METADATA: Final = 100
_UNANSWERED: Final = frozenset(("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL", "UNKNOWN"))
"""What a client says itself where nobody answered."""


class Pending:
    """One RPC on its way."""

    __slots__ = (
        "authorization", "bytes_received", "bytes_sent", "caller", "certified", "link", "method", "received", "rest",
        "sent", "start_ns", "streams", "told",
    )  # fmt: skip

    def __init__(self, link: Link, method: str, *, streams: bool, caller: Caller | None) -> None:
        self.link = link
        self.method = method
        self.streams = streams
        self.caller = caller
        self.start_ns = time.time_ns()
        self.authorization: object = None
        self.rest: Callable[[], object] | None = None
        """What is to be done once the only message has come: asyncio hears of the end before it."""
        self.certified = self.told = False
        self.sent = self.received = self.bytes_sent = self.bytes_received = 0

    def sends(self, serializer: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
        """The app's serialiser, counting."""

        def counting(message: Any) -> Any:
            packed = message if serializer is None else serializer(message)
            self.sent += 1
            self.bytes_sent += PREFIX_BYTES + _size(packed)
            return packed

        return counting

    def receives(self, deserializer: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
        """Likewise for what comes."""

        def counting(packed: Any) -> Any:
            self.received += 1
            self.bytes_received += PREFIX_BYTES + _size(packed)
            if self.rest is not None:
                self.rest()
                self.rest = None
            return packed if deserializer is None else deserializer(packed)

        return counting


def _size(packed: Any) -> int:
    return len(packed) if isinstance(packed, (bytes, bytearray, memoryview)) else 0


class Watch:
    """The RPCs of one process."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder: Recorder | None = recorder

    @never_breaks_the_host
    def begin(
        self, callable_: Any, args: tuple[Any, ...], options: dict[str, Any], streams: bool
    ) -> tuple[Any, Pending] | None:
        """An RPC is about to be made: the callable that is to make it, and what is to be told of it."""
        if self.recorder is None:
            return None
        link = vars(callable_).get(KEY)
        if not isinstance(link, Link):  # a channel older than this probe
            link = vars(callable_)[KEY] = Link(callable_._channel.target(), UNKNOWN, None)
        pending = Pending(link, rpc.method(callable_._method), streams=streams, caller=self.recorder.capture_caller())
        given = dict(zip(("request", "timeout", "metadata", "credentials"), args, strict=False)) | options
        pending.certified = given.get("credentials") is not None
        pending.authorization = _authorization(given.get("metadata"))
        twin = _twin(callable_)
        twin._request_serializer = pending.sends(callable_._request_serializer)
        twin._response_deserializer = pending.receives(callable_._response_deserializer)
        return twin, pending

    @never_breaks_the_host
    def failed(self, pending: Pending, error: BaseException) -> None:
        """It ended with an error, or could not be begun."""
        code = getattr(error, "code", None)
        status = _name(code()) if callable(code) else ""
        self.tell(pending, status, error)

    @never_breaks_the_host
    def tell_well(self, pending: Pending) -> None:
        """It ended well."""
        self.tell(pending, "OK", None)

    def tell(self, pending: Pending, status: str, error: BaseException | None) -> None:
        """Records it; only the first time counts."""
        if pending.told or self.recorder is None:
            return
        pending.told = True
        failed = status not in ("", "OK")
        answered = pending.received > 0 or (status not in _UNANSWERED and (error is None or status != ""))
        session = pending.link.session(pending.authorization, certified=pending.certified, answered=answered)
        self.recorder.record_call(
            session, pending.method, start_ns=pending.start_ns, statement=pending.method,
            estimated=(pending.bytes_sent, pending.bytes_received), rows_returned=pending.received,
            rows_affected=pending.sent if pending.streams else -1, error=status if failed else error,
            facts=((names.STATUS_CODE, status),) if failed else (), caller=pending.caller,
        )  # fmt: skip

    @never_breaks_the_host
    def follow(self, pending: Pending, call: Any) -> None:
        """A call that goes on: told when gRPC says that it has ended. Only gRPC's own state is kept until then."""
        state = call._state

        @never_breaks_the_host
        def done() -> None:
            self.tell(pending, _name(state.code), None)

        if not call.add_callback(done):
            done()

    @never_breaks_the_host
    def follow_task(self, pending: Pending, call: Any, *, unary: bool) -> None:
        """Likewise, of asyncio's.

        Args:
            unary: One message is all that comes.
        """
        inner = getattr(call, "_cython_call", None)

        @never_breaks_the_host
        def done(ended: Any = None) -> None:
            status = _status_of(inner) if inner is not None else _name(_now(ended.code()))
            if unary and status == "OK" and not pending.received:
                pending.rest = never_breaks_the_host(lambda: self.tell(pending, status, None))
            else:
                self.tell(pending, status, None)

        if inner is None:  # one that interceptors make
            call.add_done_callback(done)
        elif inner.done():
            done()
        else:
            inner.add_done_callback(done)


def _twin(callable_: Any) -> Any:
    """A copy, whose attributes are the same objects."""
    kind = type(callable_)
    twin = object.__new__(kind)
    twin.__dict__.update(vars(callable_))
    for name in _slots(kind):
        if hasattr(callable_, name):
            setattr(twin, name, getattr(callable_, name))
    return twin


@lru_cache(maxsize=64)
def _slots(kind: type) -> tuple[str, ...]:
    named = (one for base in kind.__mro__ for one in vars(base).get("__slots__", ()))
    return tuple(one for one in named if one not in ("__dict__", "__weakref__"))


def _authorization(metadata: Any) -> object:
    if not isinstance(metadata, Iterable) or isinstance(metadata, (str, bytes)) or not hasattr(metadata, "__len__"):
        return None  # an iterator would be used up by looking at it
    for pair in islice(metadata, MAX_METADATA):
        if isinstance(pair, tuple) and len(pair) == 2 and pair[0] == "authorization":
            return pair[1]
    return None


def _name(code: Any) -> str:
    name = getattr(code, "name", "")
    return name if isinstance(name, str) else ""


def _now(waiting: Any) -> Any:
    """What a coroutine gives that need not wait any more; ``None`` where it would."""
    try:
        waiting.send(None)
    except StopIteration as done:
        return done.value
    except BaseException:  # noqa: BLE001  asyncio's cancellation among them: of the call, not of whoever looks
        return None
    finally:
        waiting.close()
    return None


def _status_of(inner: Any) -> str:
    code = getattr(_now(inner.status()), "code", None)
    number = code() if callable(code) else None
    grpc = sys.modules["grpc"]
    return next((one.name for one in grpc.StatusCode if one.value[0] == number), _name(number))
