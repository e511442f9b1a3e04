"""The in-memory judge: spans in, findings out, without stream and store.

This module is the detector's public Python interface. ``docs/reference/api.md`` documents it.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, Union

from backwatch.collector import names
from backwatch.collector.console.logs import escape
from backwatch.collector.pipeline.app_identity import App
from backwatch.collector.pipeline.encoder import encode_calls
from backwatch.collector.runtime.record import Call
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Finding as RaisedFinding
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.profile.document import Profile
from backwatch.detector.profile.reading import NotAProfile
from backwatch.detector.profile.reading import parse as parse_profile
from backwatch.detector.runtime.entry_rows import to_entry
from backwatch.detector.runtime.replay import Replay

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["Finding", "Judge", "NotAProfile", "Profile", "Span", "Spans", "parse_profile"]

Span = Union[bytes, Call, "ReadableSpan"]
"""An ``ExportTraceServiceRequest`` as bytes, a call record of the collector, or a finished span of the SDK."""
Spans = Span | Iterable[Span]

MAX_SHOWN_CHARACTERS: Final = 200
"""Characters of a statement in a message; the evidence holds more of it."""
_STATEMENTS: Final = (names.QUERY_TEXT, names.STATEMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that fired on a call, or on a minute of a resource.

    Attributes:
        rule: Name of the rule, as in docs/reference/rules.md.
        level: informational, low, medium, high or critical.
        message: One sentence or two: what happened, where, and on which statement. One line, printable.
        app, resource: As alerts show them.
        call_site: ``file:line in function``, or the route; empty if none was reported.
        evidence: The call's facts by name, as an alert shows them. Texts may be an attacker's.
        time_ns: When the call ended, in nanoseconds since 1970.
        trace_id, span_id: Lower-case hexadecimal; empty for a minute.
        alert_id: Equal for findings that a detector would show as one alert.
    """

    rule: str
    level: str
    message: str
    app: str
    resource: str
    call_site: str
    evidence: Mapping[str, Any]
    time_ns: int
    trace_id: str
    span_id: str
    alert_id: str

    def __str__(self) -> str:
        return f"{self.level} {self.rule}: {self.message}"


class Judge:
    """Judges spans with all rules and detectors, in memory. Owned by one thread.

    What it learns from one call of :meth:`judge` holds in the next. The first judge of a process loads rules and
    compiled code (seconds; a minute if nothing is compiled yet), further ones share them. A judge takes about 20 MB for
    each app, a call some microseconds, a new statement some tens of them.

    Args:
        app: Name of the app whose call records are judged. Bytes and spans of the SDK name their own.
        rules_directory: Folder of your Sigma rules beside the shipped ones; empty: none.
        profile: An enforced profile: what it does not hold of its app raises.
        judge_loopback: Judge plaintext and unverified sessions to loopback addresses as any other.

    Raises:
        SettingError: A rule of the folder cannot be read.
    """

    def __init__(
        self,
        *,
        app: str = "app",
        rules_directory: str = "",
        profile: Profile | None = None,
        judge_loopback: bool = False,
    ) -> None:
        self._app = App(app, "", "", ((names.SERVICE_NAME, app),))
        first = (to_entry(profile),) if profile else ()
        self._replay = Replay(_get_engine(rules_directory, judge_loopback=judge_loopback), first)

    def judge(self, spans: Spans) -> list[Finding]:
        """Return what the rules raise on these spans, by time.

        The windows of a minute stay open: what rules over minutes raise comes once a later call, or :meth:`flush`,
        closes them. Spans that are no call of a backing service raise nothing.

        Raises:
            TypeError: Something is neither bytes nor a call record nor a span.
        """
        given = (spans,) if isinstance(spans, bytes | Call) or not isinstance(spans, Iterable) else spans
        return _to_findings(self._replay.judge_requests(self._requests(given)))

    def flush(self) -> list[Finding]:
        """Close the open windows and return what rules over minutes raise.

        Calls that ended before are late from then on: they are judged, and nothing learns from them.
        """
        return _to_findings(self._replay.close_windows())

    def close(self) -> list[Finding]:
        """Flush, and release the memory. A closed judge begins anew."""
        found = self.flush()
        self._replay.reset()
        return found

    @property
    def unreadable(self) -> int:
        """Number of values that could not be read as spans so far."""
        return self._replay.counts.unreadable

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _requests(self, spans: Iterable[Span]) -> Iterable[bytes]:
        for span in spans:
            if isinstance(span, bytes):
                yield span
            elif isinstance(span, Call):
                yield encode_calls(self._app, (span,))
            else:
                yield _encode_span(span)


_engines: dict[tuple[str, bool], Engine] = {}


def _get_engine(rules_directory: str, *, judge_loopback: bool) -> Engine:
    key = rules_directory, judge_loopback
    if key not in _engines:
        _engines.clear()  # one at a time: an engine holds its caches
        _engines[key] = make_engine(EngineConfig(judge_loopback=judge_loopback), rules_directory)
    return _engines[key]


def _encode_span(span: "ReadableSpan") -> bytes:
    """Return a span of the SDK as the collector's exporter would send it."""
    from opentelemetry.sdk.trace import ReadableSpan

    from backwatch.collector.exporter import call_of

    if not isinstance(span, ReadableSpan):  # pyright: ignore[reportUnnecessaryIsInstance]  callers may be untyped
        raise TypeError(f"spans must be bytes, call records or ReadableSpan, got {type(span).__name__}")
    call = call_of(span)
    if call is None:
        return b""
    if not call.end_ns:
        call = call._replace(end_ns=time.time_ns())
    facts = [(key, value) for key, value in span.resource.attributes.items() if isinstance(value, str | int)]
    name = str(span.resource.attributes.get(names.SERVICE_NAME, ""))
    return encode_calls(App(name, "", "", tuple(facts)), (call,))


def _to_findings(raised: Iterable[RaisedFinding]) -> list[Finding]:
    return sorted(map(_to_finding, raised), key=lambda finding: (finding.time_ns, finding.rule, finding.alert_id))


def _to_finding(raised: RaisedFinding) -> Finding:
    evidence = raised.evidence
    call_site = _describe_call_site(evidence)
    statement = next((str(evidence[name]) for name in _STATEMENTS if evidence.get(name)), "")
    words = [raised.rule.title, f"at {call_site}" if call_site else "", f"on {raised.key.resource}"]
    message = " ".join(word for word in words if word)
    if statement:
        message += f": {statement[:MAX_SHOWN_CHARACTERS]}"
    return Finding(
        rule=raised.rule.name, level=raised.level, message=escape(message), app=raised.key.app,
        resource=raised.key.resource, call_site=escape(call_site), evidence=evidence, time_ns=raised.time_ns,
        trace_id=raised.trace_id, span_id=raised.span_id, alert_id=raised.alert_id,
    )  # fmt: skip


def _describe_call_site(evidence: Mapping[str, Any]) -> str:
    file, function = str(evidence.get(names.CODE_FILE, "")), str(evidence.get(names.CODE_FUNCTION, ""))
    if not file and not function:
        return str(evidence.get(names.HTTP_ROUTE, ""))
    line = evidence.get(names.CODE_LINE)
    return f"{file}:{line} in {function}" if line else f"{file} in {function}"
