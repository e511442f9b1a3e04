"""The records of what was written by hand, each after its honest neighbour, far apart in the honest stream."""

from collections.abc import Iterator, Mapping
from random import Random

from bench.campaigns import honest
from bench.campaigns.app import App
from bench.campaigns.byhand import Injection, mysql, postgres, sqlite
from bench.campaigns.records import Record, record

INJECTIONS: Mapping[str, tuple[Injection, ...]] = {
    "postgres": postgres.INJECTIONS, "mysql": mysql.INJECTIONS, "sqlite": sqlite.INJECTIONS,
}  # fmt: skip
BUGS = (
    ("title_search", "word", "O'Brien"), ("author_suggest", "prefix", "O'"),
    ("orm_member", "email", "o'brien@example.org"),
    ("overdue", "city", "L'Aquila"), ("admin_search", "surname", "D'Angelo"), ("member_by_id", "member_id", "abc"),
    ("member_by_id", "member_id", ""), ("loans_of_member", "member_id", "12a"),
    ("copies_of_titles", "title_ids", "4, 7,"),
    ("event_page", "limit", "ten"), ("review_add", "plain_text", "It's fine"), ("member_phone", "phone", "don't call"),
)  # fmt: skip
"""Honest input that breaks a statement of the app."""


def _request(app: App, tid: str, field: str, random: Random) -> dict[str, str]:
    while True:
        request = app.templates[tid].request(random)
        if field in request:
            return request


def _pair(app: App, injection: Injection, random: Random) -> Iterator[Record]:
    request = _request(app, injection.tid, injection.field, random)
    neighbour = app.call(injection.tid, request)
    yield honest.to_record(app, neighbour, "test")
    value = injection.value.replace("{v}", request[injection.field])
    call = app.call(injection.tid, {**request, injection.field: value})
    yield record(
        app.dialect, injection.tid, call.statement.text, call.answer, phase="test", label="attack",
        kind="stmt_signfree",
        input=value, what=injection.what, neighbour=neighbour.statement.text, neighbour_rows=len(neighbour.answer.rows),
        source="written by hand for bench.campaigns",
    )  # fmt: skip


def _bug(app: App, tid: str, field: str, value: str, random: Random) -> Record:
    call = app.call(tid, {**_request(app, tid, field, random), field: value})
    return honest.to_record(app, call, "test") | {"kind": "app_honest_bug", "input": value}


def write_by_hand(app: App, ordinary: list[Record], random: Random) -> Iterator[Record]:
    """Yield the ordinary records with injections and bugs spread over them evenly."""
    marks: list[Injection | tuple[str, str, str]] = [*INJECTIONS[app.dialect.name], *BUGS]
    random.shuffle(marks)
    each = len(ordinary) // (len(marks) + 1)
    for number, mark in enumerate(marks):
        yield from ordinary[number * each : (number + 1) * each]
        if isinstance(mark, Injection):
            yield from _pair(app, mark, random)
        else:
            yield _bug(app, *mark, random)
    yield from ordinary[len(marks) * each :]
