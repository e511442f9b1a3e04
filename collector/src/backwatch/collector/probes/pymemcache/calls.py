"""What goes by on one memcached connection: one command, one record. Everything here is bookkeeping, and guarded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from backwatch.collector import names
from backwatch.collector.payload.response_indicators import add_indicators
from backwatch.collector.probes.pymemcache.session import Exchange, State, current, session_of
from backwatch.collector.probes.toolkit.messages import size_of
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error, weakly, words
from backwatch.collector.redaction import memcached as redact
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.keyed_cache import keyed_hash, remember
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters

if TYPE_CHECKING:
    from backwatch.collector.probes import Recorder
    from backwatch.collector.runtime.record import AttributeValue, Session

KEY: Final = "_backwatch_state"
"""Where a client keeps its :class:`State`."""
COMPRESSED: Final = 8
"""``FLAG_COMPRESSED`` of pymemcache's serializers."""
MAX_KEY: Final = 64
MAX_REMEMBERED: Final = 2_048
_HEAD: Final = 24
"""Bytes of a command's line beside its key and value, about."""
_CODES: Final = {"MemcacheUnknownCommandError": "ERROR", "MemcacheClientError": "CLIENT_ERROR",
                 "MemcacheServerError": "SERVER_ERROR"}  # fmt: skip
"""The server's word for an error, which the driver makes these of; their subclasses are the driver's own."""
_DONE: Final = {"delete": b"DELETED", "touch": b"TOUCHED"}

_known: dict[int | bytes, str] = {}


def _statement(name: str, keys: Any) -> str:
    """Of one key or many. Those of a single short key are remembered."""
    if not isinstance(keys, (list, tuple, dict, set, frozenset)):
        return redact.to_statement(name, ("",))  # from an iterator that is not ours to read
    if len(keys) != 1:
        return redact.to_statement(name, keys)
    key = next(iter(keys))
    kind = type(key)
    if (kind is not str and kind is not bytes) or len(key) > MAX_KEY:
        return redact.to_statement(name, (key,))
    marked = keyed_hash((name, kind, key))
    known = _known.get(marked)
    if known is None:
        known = remember(_known, marked, redact.to_statement(name, (key,)), MAX_REMEMBERED)
    return known


def _stored_bytes(values: Any) -> int:
    """About what storing them sends; -1 where a serializer is to make bytes of something else."""
    total = 0
    for key, value in values.items():
        if not isinstance(value, (str, bytes, int)):
            return -1
        total += _HEAD + size_of(key) + (len(str(value)) if isinstance(value, int) else size_of(value))
    return total


def _code_of(error: BaseException | None) -> tuple[tuple[str, AttributeValue], ...]:
    code = _CODES.get(type(error).__name__)
    return ((names.STATUS_CODE, code),) if code else ()


def _is_anothers(error: BaseException | None) -> bool:
    """Whether the server answered with a key that was not asked for: the driver looks it up, and does not find it."""
    if type(error) is not KeyError or not error.args or not isinstance(error.args[0], bytes):
        return False
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    # A serializer of the app's may miss a key of its own.
    return at is not None and str(at.tb_frame.f_globals.get("__name__", "")).startswith("pymemcache.")


class Watch:
    """The clients of one process."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder: Recorder | None = recorder

    def silence(self) -> None:
        """The probe is removed: nothing is told from now on."""
        self.recorder = None

    # --- the connection ---

    def _state(self, client: Any) -> State | None:
        """What is known of the connection, learnt now where it is older than this probe; ``None``: there is none."""
        state: State | None = client.__dict__.get(KEY)
        if client.sock is None:
            return None
        if state is None or state.watch is not self or state.socket() is not client.sock:
            state = self._learnt(client)
            state.wire.read_delta()  # what went by before we came belongs to no call of ours
        return state

    def _learnt(self, client: Any) -> State:
        wire = SocketCounters(descriptor(client.sock))
        state = client.__dict__[KEY] = State(self, session_of(client), weakly(client.sock), wire)
        return state

    @never_breaks_the_host
    def connected(self, client: Any, start_ns: int) -> None:
        """The connection is made, its handshake done."""
        if self.recorder is not None:
            state = self._learnt(client)
            self.recorder.record_call(state.session, "connect", start_ns=start_ns, wire=state.wire)

    @never_breaks_the_host
    def connect_failed(self, client: Any, start_ns: int, error: BaseException) -> None:
        """It could not be made."""
        exchange = current.get()
        if exchange is not None:
            exchange.unreached = True
        if self.recorder is not None:
            self.recorder.record_call(session_of(client), "connect", start_ns=start_ns, error=root_error(error))

    @never_breaks_the_host
    def closing(self) -> None:
        """The driver closes its connection upon an error, which ``ignore_exc`` then hides from the app."""
        exchange, error = current.get(), sys.exc_info()[1]
        if exchange is not None and error is not None and error is not exchange.before:
            exchange.error = error

    # --- a command, on its way out ---

    @never_breaks_the_host
    def fetching(self, client: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Exchange | None:
        """``get``, ``gets``, and what else answers with a list."""
        name, keys = _arguments(args, options, "name", "keys")
        if self.recorder is None or not isinstance(name, bytes):
            return None
        self._state(client)
        listed = keys if isinstance(keys, (list, tuple, dict, set, frozenset)) else ()
        sent = 2 + len(name) + sum(1 + len(client.key_prefix) + size_of(key) for key in listed)
        if name in (b"get", b"gets"):
            operation = name.decode()
            return Exchange(operation, _statement(operation, keys), sent)
        return Exchange(*redact.redact_line(b" ".join([name, *(_word(one) for one in listed)])), sent)

    @never_breaks_the_host
    def storing(self, client: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Exchange | None:
        """``set`` and its like."""
        name, values = _arguments(args, options, "name", "values")
        if self.recorder is None or not isinstance(name, bytes):
            return None
        state = self._state(client)
        # Counted only where the kernel does not: no connection yet, or a unix socket.
        counted = isinstance(values, dict) and (state is None or state.session.transport == "unix")
        operation = name.decode("ascii", "replace")
        return Exchange(operation, _statement(operation, values), _stored_bytes(values) if counted else -1)

    @never_breaks_the_host
    def saying(self, client: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Exchange | None:
        """All others: one line, or several of the same kind."""
        commands, name = _arguments(args, options, "cmds", "cmd_name")
        if self.recorder is None or not isinstance(commands, list) or not commands:
            return None
        self._state(client)
        prefix, sent = client.key_prefix, sum(size_of(one) for one in commands)
        operation, statement = redact.redact_line(commands[0], prefix)
        if len(commands) > 1 and isinstance(name, bytes):
            keys = [one.split(b" ", 2)[1].strip().removeprefix(prefix) for one in commands[: redact.MAX_KEYS + 1]]
            statement = redact.to_statement(operation, keys)
        return Exchange(operation, statement, sent)

    # --- and its reply ---

    @never_breaks_the_host
    def value_read(self, value: object) -> None:
        """A value came over the wire; the driver has not unpacked it yet."""
        exchange = current.get()
        if exchange is not None and isinstance(value, bytes):
            exchange.saw(value)

    @never_breaks_the_host
    def piece_read(self, piece: object) -> None:
        """Bytes came over the wire."""
        exchange = current.get()
        if exchange is not None:
            exchange.received += size_of(piece)

    @never_breaks_the_host
    def unpacked(self, value: object, flags: object) -> None:
        """A value is about to be made of these bytes; where they are not those of the wire, they were compressed."""
        exchange = current.get()
        if exchange is None or not isinstance(value, bytes) or value is exchange.last:
            return
        if isinstance(flags, int) and flags & COMPRESSED:
            exchange.packed += len(exchange.last)
            exchange.unpacked += len(value)
            exchange.last = value

    @never_breaks_the_host
    def failed(self, client: Any, exchange: Exchange, error: BaseException) -> None:
        """The command failed."""
        exchange.error = error
        self._tell(client, exchange)

    @never_breaks_the_host
    def fetched(self, client: Any, exchange: Exchange, result: Any) -> None:
        """A list was read: what was found of what was asked for."""
        operation = exchange.told[0]
        rows = len(result) if isinstance(result, dict) and exchange.error is None else -1
        self._tell(client, exchange, returned=-1 if operation == "cache_memlimit" else rows)
        if operation == "stats" and isinstance(result, dict):
            self._versioned(client, result.get(b"version"))

    @never_breaks_the_host
    def stored(self, client: Any, exchange: Exchange, result: Any) -> None:
        """Values were stored; with ``noreply``, the driver's default, nobody knows whether they were."""
        known = exchange.received > 0 and isinstance(result, dict)
        self._tell(client, exchange, affected=sum(one is True for one in result.values()) if known else -1)

    @never_breaks_the_host
    def said(self, client: Any, exchange: Exchange, result: Any) -> None:
        """Lines were answered."""
        operation = exchange.told[0]
        done = _DONE.get(operation)
        self._tell(client, exchange, affected=result.count(done) if done and result else -1)
        if operation == "version" and result and result[0].startswith(b"VERSION "):
            self._versioned(client, result[0][8:])

    def _tell(self, client: Any, exchange: Exchange, *, returned: int = -1, affected: int = -1) -> None:
        if self.recorder is None or exchange.unreached:
            return
        state = self._state(client)
        session: Session = state.session if state is not None else session_of(client)
        unix = session.transport == "unix"
        facts = exchange.facts + _code_of(exchange.error)
        if _is_anothers(exchange.error):
            facts = add_indicators(facts, ["other-key"])
        if exchange.packed:
            facts += ((names.PAYLOAD_WIRE, exchange.packed), (names.PAYLOAD_SIZE, exchange.unpacked))
        self.recorder.record_call(
            session, exchange.told[0], statement=exchange.told[1], start_ns=exchange.start_ns,
            wire=state.wire if state is not None and not unix else None,
            estimated=(exchange.sent, exchange.received) if unix else UNKNOWN, rows_returned=returned,
            rows_affected=affected, error=None if exchange.error is None else root_error(exchange.error), facts=facts,
        )  # fmt: skip

    def _versioned(self, client: Any, version: object) -> None:
        """The app itself asked for the server's version."""
        state = self._state(client)
        told = words(version, 40)
        if state is not None and told and state.session.server_version != told:
            state.session = replace(state.session, encoded=[], server_version=told)


def _arguments(args: tuple[Any, ...], options: dict[str, Any], *wanted: str) -> Iterable[Any]:
    """The first two, as the driver passes them to itself."""
    return [args[at] if len(args) > at else options.get(name) for at, name in enumerate(wanted)]


def _word(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


Begin = Callable[[Any, tuple[Any, ...], dict[str, Any]], "Exchange | None"]
Ended = Callable[[Any, Exchange, Any], object]
