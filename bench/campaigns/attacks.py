"""Runs of an attacker against one field of the app, and the records of what the database got."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from bench.campaigns.app import App, Call
from bench.campaigns.records import Record, record


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: which route, which field, how.

    Attributes:
        position: Where the field stands in the statement.
        technique: Letters as sqlmap has them: boolean, error, union, stacked, time, inline query.
        tamper: The name of sqlmap's script that changes the payloads, or nothing.
        goal: Options of sqlmap for what is read out.
    """

    tid: str
    field: str
    position: str
    technique: str = "BEUSTQ"
    tamper: str = ""
    goal: tuple[str, ...] = ("--dump", "-T", "staff")
    level: int = 2
    limit_s: float = 60


TARGETS = (
    ("member_by_id", "member_id", "number"), ("member_by_card", "card_no", "string"), ("title_search", "word", "like"),
    ("loans_of_member", "member_id", "number"), ("copies_of_titles", "title_ids", "list"),
    ("catalogue", "sort", "order"),
    ("event_page", "limit", "limit"), ("orm_member", "email", "string"), ("subject_report", "minimum", "having"),
    ("overdue", "city", "string"), ("admin_search", "surname", "like"), ("review_add", "plain_text", "insert"),
    ("member_phone", "phone", "update"), ("fines_between", "high", "number"), ("hold_cancel", "hold_id", "delete"),
    ("busy_members", "minimum", "number"), ("activity", "date", "string"), ("member_by_name", "full_name", "escaped"),
)  # fmt: skip
"""Routes, fields and positions; the last one is escaped, so that every attempt stays inert."""


@dataclass(slots=True)
class Recorder:
    """Labels the calls of a run.

    Attributes:
        kind: The kind of the records that are no honest statement any more.
        base: The honest request that the attacker starts from.
    """

    app: App
    run: Run
    base: Mapping[str, str]
    kind: str
    source: str
    records: list[Record] = field(default_factory=list[Record])

    def __call__(self, call: Call) -> None:
        """Append the record of a call."""
        inert = self.app.is_inert(call, self.base)
        self.records.append(
            record(
                self.app.dialect, call.template.tid, call.statement.text, call.answer, phase="test", label="attack",
                kind="stmt_sqlmap_inert" if inert else self.kind, input=call.request.get(self.run.field, ""),
                technique=self.run.technique, tamper=self.run.tamper, position=self.run.position, source=self.source,
            )
        )  # fmt: skip


def honest_request(app: App, run: Run, random: Random) -> dict[str, str]:
    """Return an honest request of a run's route that has the attacked field."""
    template = app.templates[run.tid]
    while True:
        request = template.request(random)
        if run.field in request:
            return request


Attack = Callable[[App, Run, Random], list[Record]]
"""Carries out a run and returns its records, in order."""
