"""Statement templates of the app, and how it builds a statement from a request.

In a template's text, ``$field`` is interpolated as it arrived (vulnerable), ``@field`` as an escaped literal, and
``:field`` is a parameter.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from bench.campaigns.dialect import Dialect
from bench.campaigns.values import FIELDS

_MARK = re.compile(r"([$@:])([a-z]\w*)")


@dataclass(frozen=True, slots=True)
class Statement:
    """What the driver gets: the text and its parameters."""

    text: str
    parameters: tuple[str | int | float, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """A statement of the app.

    Attributes:
        tid: Its name, and the path of its route.
        text: The part that is always there.
        optional: Clauses that are added where the request has their fields.
        tail: What follows the clauses.
        group: A row of a batch insert, repeated.
        release: The statement comes with a release after training.
        script: The app runs it by the driver's call for scripts, which takes several statements.
    """

    tid: str
    text: str
    optional: tuple[str, ...] = ()
    tail: str = ""
    group: str = ""
    release: bool = False
    script: bool = False

    @property
    def raw_fields(self) -> list[str]:
        """Return the fields that reach the statement without escaping."""
        whole = " ".join((self.text, *self.optional, self.tail))
        return [name for mark, name in _MARK.findall(whole) if mark == "$"]

    @property
    def kind(self) -> str:
        """Return the kind of its honest records."""
        whole = " ".join((self.text, *self.optional, self.tail, self.group))
        if self.release:
            return "app_new_template"
        if self.optional or self.group or "_ids" in whole:
            return "app_dynamic"
        return "app_literal" if re.search(r"[$@][a-z]", whole) else "app_bound"

    def request(self, random: Random) -> dict[str, str]:
        """Return the fields of an honest request."""
        parts = [self.text, self.tail]
        parts += [clause for clause in self.optional if random.random() < 0.4]
        fields = [name for part in parts for _, name in _MARK.findall(part)]
        if self.group:
            fields += [f"{name}.{row}" for row in range(random.randint(1, 8)) for _, name in _MARK.findall(self.group)]
        return {name: FIELDS[name.partition(".")[0]](random) for name in fields}

    def build(self, dialect: Dialect, request: Mapping[str, str]) -> Statement:
        """Return the statement of a request."""
        text = self.text
        for clause in self.optional:
            if all(name in request for _, name in _MARK.findall(clause)):
                text += f" {clause}"
        if self.group:
            count = sum(name.startswith(f"{_MARK.findall(self.group)[0][1]}.") for name in request)
            text += " " + ", ".join(_MARK.sub(rf"\1\2__{row}", self.group) for row in range(count))
        text += f" {self.tail}" if self.tail else ""
        parameters: list[str | int | float] = []

        def fill(match: re.Match[str]) -> str:
            value = request[match[2].replace("__", ".")]
            if match[1] == "$":
                return value
            if match[1] == "@":
                return value if re.fullmatch(r"\d+(\.\d+)?", value) else dialect.literal(value)
            members = value.split(", ") if match[2].endswith("_ids") else [value]
            parameters.extend(_parse_typed(member) for member in members)
            return ", ".join([dialect.placeholder] * len(members))

        return Statement(_MARK.sub(fill, dialect.quote_identifiers(text)), tuple(parameters))


def _parse_typed(value: str) -> str | int | float:
    if re.fullmatch(r"\d{1,9}", value):
        return int(value)
    return float(value) if re.fullmatch(r"\d{1,9}\.\d+", value) else value
