"""The app: it builds the statement of a route, runs it and reports what the database got and answered."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.campaigns import lexer
from bench.campaigns.databases import Answer, Database
from bench.campaigns.templates import Statement, Template, bound, literal


@dataclass(frozen=True, slots=True)
class Call:
    """A request of the app, its statement, and the answer of the database."""

    template: Template
    request: Mapping[str, str]
    statement: Statement
    answer: Answer


class App:
    """The app on one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.dialect = database.dialect
        self.regular = [*literal.templates(self.dialect), *bound.templates(self.dialect)]
        self.release = bound.release(self.dialect)
        self.templates = {template.tid: template for template in (*self.regular, *self.release)}

    def call(self, tid: str, request: Mapping[str, str]) -> Call:
        """Serve a request."""
        template = self.templates[tid]
        statement = template.build(self.dialect, request)
        return Call(template, request, statement, self.database.run(statement, script=template.script))

    def is_inert(self, call: Call, honest: Mapping[str, str]) -> bool:
        """Return whether a statement differs from the honest one in literals only."""
        expected = call.template.build(self.dialect, honest).text
        name = self.dialect.name
        return lexer.structure(call.statement.text, name) == lexer.structure(expected, name)
