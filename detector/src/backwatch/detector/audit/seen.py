"""Reads what an app was seen to do: its calls, from recorded OTLP files or from the stream, counted by statement."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import DecodeError

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.detector.audit.model import Seen, SeenCall
from backwatch.detector.decoding.app import app_text
from backwatch.detector.ingest.routing import route
from backwatch.detector.ingest.sources import UnreadablePiece, read
from backwatch.detector.ingest.tolerant_schema import Request

MAX_CALLS: Final = 200_000
"""Different calls that are kept; further ones are counted, and the report states it."""
MAX_TEXT: Final = 16_384
"""Characters of one text of a span that are read."""
MAX_WAIT_S: Final = 120.0
"""Seconds for which the stream may deliver nothing."""
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})
_ERROR: Final = 2


@dataclass(slots=True, kw_only=True)
class Filter:
    """Which calls belong to the audited account.

    Attributes:
        systems: Kinds of service as spans name them; empty: all.
        account: Calls of other accounts are left out; calls without an account are kept and counted.
        addresses: Addresses under which the app knows the service; empty: any.
    """

    systems: frozenset[str]
    account: str
    addresses: frozenset[tuple[str, int]]
    app: str = ""
    since_ns: int = 0


@dataclass(slots=True)
class SeenCalls:
    """All calls that a filter let through, and what could not be used.

    Attributes:
        others: Calls to this kind of service under another address or account, as ``account at address``.
    """

    calls: dict[SeenCall, Seen] = field(default_factory=dict[SeenCall, Seen])
    failed: int = 0
    without_account: int = 0
    unreadable: int = 0
    beyond: int = 0
    first_ns: int = 0
    last_ns: int = 0
    others: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def count(self) -> int:
        """Number of calls that succeeded."""
        return sum(seen.count for seen in self.calls.values())


def read_files(files: Sequence[str], chosen: Filter) -> SeenCalls:
    """Read the calls in these files of OTLP.

    Raises:
        OSError: A file cannot be opened.
    """
    found = SeenCalls()
    for item in read(files):
        if isinstance(item, UnreadablePiece):
            found.unreadable += 1
        else:
            for message in route(item.request):
                _add_request(found, message.value, chosen)
    return found


def read_stream(settings: StreamSettings, chosen: Filter) -> SeenCalls:
    """Read the calls that the stream still holds, as a group of its own that commits nothing.

    Raises:
        StreamUnavailable: The stream does not respond.
    """
    found = SeenCalls()
    for value in _stream_values(settings, chosen.since_ns):
        _add_request(found, value, chosen)
    return found


def _stream_values(settings: StreamSettings, since_ns: int) -> Iterator[bytes]:
    from backwatch.collector.stream import StreamUnavailable
    from backwatch.collector.stream.factory import open_consumer

    until = time.monotonic() + MAX_WAIT_S
    with closing(open_consumer(settings, names.TOPIC_CALLS, f"backwatch-audit-{time.time_ns():x}")) as consumer:
        while not consumer.assignment() and time.monotonic() < until:
            consumer.poll(0.2)
        bounds = consumer.all_bounds(consumer.assignment())
        at = {partition: first for partition, (first, end) in bounds.items() if end > first}
        for partition, offset in at.items():
            consumer.seek(partition, offset)
        # The client's position is past the markers of transactions, which are no records.
        while any(max(at[partition], consumer.read_to(partition)) < bounds[partition][1] for partition in at):
            if time.monotonic() > until:
                raise StreamUnavailable(f"the stream delivered nothing for {MAX_WAIT_S:.0f} s")
            for partition in consumer.find_unpositioned():
                consumer.seek(partition, at.get(partition, 0))
            for record in consumer.poll(0.5):
                until = time.monotonic() + MAX_WAIT_S
                at[record.partition] = record.next_offset
                if not record.skipped and record.appended_ns >= since_ns:
                    yield record.value


def _add_request(found: SeenCalls, value: bytes, chosen: Filter) -> None:
    try:
        request = Request.FromString(value)
    except DecodeError:
        found.unreadable += 1
        return
    for resource_spans in request.resource_spans:
        app = app_text({key: text for key, text in _pairs(resource_spans.resource.attributes) if isinstance(text, str)})
        if chosen.app and chosen.app not in (app, app.partition("/")[0]):
            continue
        for scope_spans in resource_spans.scope_spans:
            if scope_spans.scope.name == names.SCOPE_HEARTBEAT.encode():
                continue
            session = dict(_pairs(scope_spans.scope.attributes))
            for span in scope_spans.spans:
                _add_span(found, app, session | dict(_pairs(span.attributes)), span, chosen)


def _add_span(found: SeenCalls, app: str, facts: Mapping[str, Any], span: Any, chosen: Filter) -> None:
    at_ns = int(span.end_time_unix_nano)
    call = _to_call(app, facts)
    if at_ns < chosen.since_ns or (chosen.systems and call.system not in chosen.systems):
        return
    if not _is_chosen(call, chosen):
        shown = f"{call.account or 'unknown account'} at {call.address}:{call.port}"
        if shown in found.others or len(found.others) < 20:
            found.others[shown] = found.others.get(shown, 0) + 1
        return
    if facts.get(names.ERROR_TYPE) or span.status.code == _ERROR:
        found.failed += 1  # a refused call proves no need: it may be an attacker's
        return
    found.without_account += not call.account
    found.first_ns = min(found.first_ns or at_ns, at_ns)
    found.last_ns = max(found.last_ns, at_ns)
    seen = found.calls.get(call)
    if seen is None:
        if len(found.calls) >= MAX_CALLS:
            found.beyond += 1
            return
        seen = found.calls[call] = Seen(first_ns=at_ns)
    seen.count += 1
    seen.first_ns, seen.last_ns = min(seen.first_ns, at_ns), max(seen.last_ns, at_ns)


def _to_call(app: str, facts: Mapping[str, Any]) -> SeenCall:
    def text(name: str) -> str:
        value = facts.get(name, "")
        return value[:MAX_TEXT] if isinstance(value, str) else str(value)

    port = facts.get(names.SERVER_PORT, 0)
    return SeenCall(
        app=app, system=next((text(name).lower() for name in names.SYSTEMS if text(name)), ""),
        address=text(names.SERVER_ADDRESS).lower(), port=port if isinstance(port, int) else 0,
        namespace=text(names.DB_NAMESPACE), account=text(names.ACCOUNT), operation=text(names.OPERATION),
        statement=text(names.QUERY_TEXT) or text(names.STATEMENT), destination=text(names.MESSAGING_DESTINATION),
        signs=text(names.QUERY_SIGNS), place=_to_place(text(names.CODE_FILE), text(names.CODE_FUNCTION)),
    )  # fmt: skip


def _to_place(file: str, function: str) -> str:
    return f"{file}:{function}" if file and function else file or function


def _is_chosen(call: SeenCall, chosen: Filter) -> bool:
    if chosen.account and call.account and call.account != chosen.account:
        return False
    return not chosen.addresses or any(_is_same(call, address, port) for address, port in chosen.addresses)


def _is_same(call: SeenCall, address: str, port: int) -> bool:
    same_host = call.address == address or (call.address in _LOCAL and address in _LOCAL)
    return same_host and (not port or not call.port or call.port == port)


def _pairs(attributes: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for attribute in attributes:
        value = attribute.value
        which = value.WhichOneof("value")
        if which == "string_value":
            yield attribute.key.decode("utf-8", "replace"), value.string_value.decode("utf-8", "replace")
        elif which in ("int_value", "bool_value", "double_value"):
            yield attribute.key.decode("utf-8", "replace"), getattr(value, which)
