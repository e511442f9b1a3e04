"""``backwatch.detector.api``: spans in, findings out, in memory."""

import random

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from backwatch.collector import names
from backwatch.collector.runtime.record import CLIENT, Call, CallSite, Session
from backwatch.detector.api import Finding, Judge
from tests.detector import streams

INJECTED = "SELECT name FROM item WHERE name = ? OR ? = ? --"


def call(text: str, end_ns: int = streams.START_NS, signs: str = "") -> Call:
    session = Session(system="postgresql", address="db.internal", port=5432, namespace="shop")
    site = CallSite("search", "shop/views.py", 12)
    return Call(
        session, "SELECT", text, True, signs, CLIENT, site, "", end_ns - 1000, end_ns, 7, 9, 0, 1, 1, False, 1, -1, "",
        (),
    )  # fmt: skip


def rules(findings: list[Finding]) -> list[str]:
    return sorted({finding.rule for finding in findings})


def test_call_record_gives_a_finding_with_its_call_site() -> None:
    found = Judge(app="shop").judge(call(INJECTED, signs="tautology,comment-tail"))
    (attack,) = [finding for finding in found if finding.rule == "query-attack"]
    assert (attack.level, attack.app, attack.resource) == ("high", "shop", "postgresql db.internal:5432/shop")
    assert attack.call_site == "shop/views.py:12 in search"
    assert attack.evidence[names.QUERY_TEXT] == INJECTED
    assert attack.message.startswith("A New Query Looks Injected at shop/views.py:12 in search on postgresql")
    assert str(attack) == f"high query-attack: {attack.message}"


def test_ordinary_call_gives_no_finding() -> None:
    with Judge() as judge:
        assert judge.judge([call("SELECT name FROM item WHERE id = ?")]) == []


def test_message_is_one_printable_line_whatever_the_statement_holds() -> None:
    (attack, *_) = Judge().judge(call(INJECTED + '"\x1b[2J\u202e\n"', signs="tautology,comment-tail"))
    assert attack.message.isprintable()


def test_span_of_the_sdk_is_judged_as_an_exported_one() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({names.SERVICE_NAME: "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("some.library")
    statement = "SELECT name FROM item WHERE name = 'x' OR '1'='1' --'"
    for attributes in ({"db.system.name": "postgresql", "db.query.text": statement}, {"purpose": "no call"}):
        tracer.start_span("SELECT", kind=SpanKind.CLIENT, attributes=attributes).end()
    found = Judge().judge(exporter.get_finished_spans())
    assert rules(found) == ["query-attack"]
    assert found[0].app == "shop"


def test_other_objects_are_refused() -> None:
    with pytest.raises(TypeError, match="must be bytes, call records or ReadableSpan, got str"):
        Judge().judge(["span"])  # pyright: ignore[reportArgumentType]


def test_unreadable_bytes_are_counted_and_raise_a_loss() -> None:
    judge = Judge()
    assert rules(judge.judge(b"\x00no request")) == ["telemetry-loss"]
    assert judge.unreadable == 1


def test_findings_do_not_depend_on_how_the_calls_are_passed() -> None:
    calls = streams.eventful(count=400)
    together = Judge()
    whole = [*together.judge(streams.encode(calls)), *together.flush()]
    pieces, source, parted, start = Judge(), random.Random(3), list[Finding](), 0
    while start < len(calls):
        size = source.randrange(1, 60)
        parted += pieces.judge(streams.encode(calls[start : start + size]))
        start += size
    parted += pieces.flush()
    assert len(whole) > 10
    assert sorted((one.time_ns, one.alert_id) for one in parted) == sorted((one.time_ns, one.alert_id) for one in whole)


def test_closed_judge_begins_anew() -> None:
    past = list(streams.quiet(random.Random(1), 1_200))
    later = past[-1].end_ns + streams.SECOND
    new = streams.Call(later, streams.SAFE, streams.statement("SELECT secret FROM vault WHERE id = ?"))
    judge = Judge()
    judge.judge(streams.encode(past))
    assert "unusual-query" in rules(judge.judge(streams.encode([new])))
    judge.close()
    assert judge.judge(streams.encode([new])) == []
