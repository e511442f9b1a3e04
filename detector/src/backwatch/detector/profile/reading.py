"""Reads a profile from YAML, and reports every fault with its line."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import date
from typing import Any, Final, cast

import yaml

from backwatch.detector.profile.document import (
    FORMAT,
    KINDS,
    LARGEST,
    MAX_DESTINATIONS,
    MAX_ITEMS,
    MAX_STATEMENT_CHARACTERS,
    MAX_STATEMENTS,
    MAX_TEXT_CHARACTERS,
    SECTIONS,
    TLS_LEVELS,
    Announced,
    Entry,
    Profile,
    certificate,
    identify,
)

MAX_FAULTS: Final = 20
"""Faults reported of one document."""
_ROOM: Final = {"statements": MAX_STATEMENTS, "destinations": MAX_DESTINATIONS}
"""Entries of a section, where they are more than ``MAX_ITEMS``."""
_LONG: Final = ("statement", "example")
"""Fields that hold statements: any text, on which YAML's escapes stand for what cannot be printed."""
_NUMBER: Final = re.compile(r"\d{1,15}")


class NotAProfile(ValueError):
    """A document that is no profile.

    Attributes:
        faults: (line from 1, what is wrong), in the order of the document.
    """

    def __init__(self, faults: Sequence[tuple[int, str]]) -> None:
        super().__init__(f"line {faults[0][0]}: {faults[0][1]}")
        self.faults = tuple(faults)


def parse(text: str) -> Profile:
    """The profile that stands in a YAML document.

    Raises:
        NotAProfile: With every fault, each with its line.
    """
    if len(text.encode("utf-8", "replace")) > LARGEST:
        raise NotAProfile([(1, f"the document is larger than {LARGEST} bytes")])
    try:
        root: Any = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotAProfile([(mark.line + 1 if mark else 1, f"is no YAML: {error.problem or error.context}")]) from None
    except yaml.YAMLError as error:
        raise NotAProfile([(1, f"is no YAML: {str(error).splitlines()[0]}")]) from None
    except RecursionError:
        raise NotAProfile([(1, "is nested too deeply")]) from None
    reading = _Reading()
    found = reading.profile(root)
    if reading.faults or found is None:
        raise NotAProfile(sorted(reading.faults)[:MAX_FAULTS])
    return found


def _tls(text: str) -> str:
    if text not in TLS_LEVELS:
        raise ValueError(f"must be one of {', '.join(TLS_LEVELS)}")
    return text


def _day(text: str) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a day such as 2027-01-31") from None
    if not 2000 <= day.year <= 2200:
        raise ValueError("must be a day of this century or the next")
    return day.isoformat()


_FORMS: Final[Mapping[str, Callable[[str], str]]] = {"tls": _tls, "certificates": certificate, "until": _day}


class _Reading:
    """Reads nodes of YAML, and notes what is wrong with them."""

    def __init__(self) -> None:
        self.faults: list[tuple[int, str]] = []

    def profile(self, root: Any) -> Profile | None:
        if not isinstance(root, yaml.MappingNode):
            self._fault(root, "must begin with profile: 1, and name app and its sections")
            return None
        found = dict(self._items(root, "", ("profile", "app", "announced", *SECTIONS)))
        for name in ("profile", "app"):
            if name not in found:
                self._fault(root, f"{name} is missing" + (": profile: 1 gives the format" if name == "profile" else ""))
        if "profile" in found and self._text(found["profile"], "profile") not in ("", FORMAT):
            self._fault(found["profile"], f"profile must be {FORMAT}: this Backwatch reads no other form")
        app = self._text(found["app"], "app") if "app" in found else ""
        announced: list[Announced] = []
        for place, node in enumerate(self._list(found["announced"], "announced") if "announced" in found else ()):
            resource = self._read_announced(node, f"announced[{place}]")
            if resource is not None and resource.resource in {other.resource for other in announced}:
                self._fault(node, f"announced[{place}].resource: {resource.resource!r} stands here twice")
            elif resource is not None:
                announced.append(resource)
        sections: dict[str, Any] = {name: self._section(name, found[name]) for name in SECTIONS if name in found}
        return Profile(app=app, announced=tuple(announced), **sections)

    def _section(self, section: str, node: Any) -> tuple[Entry, ...]:
        entries: dict[tuple[str, ...], Entry] = {}
        for place, item in enumerate(self._list(node, section, _ROOM.get(section, MAX_ITEMS))):
            where = f"{section}[{place}]"
            entry = self._entry(SECTIONS[section], item, where)
            if entry is not None and identify(section, entry) in entries:
                self._fault(item, f"{where} stands here twice")
            elif entry is not None:
                entries[identify(section, entry)] = entry
        return tuple(sorted(cast("Any", entries.values())))

    def _entry(self, kind: type[Entry], node: Any, where: str) -> Entry | None:
        """Return an entry by the fields of its class; ``None`` where one is wrong."""
        known = {field.name: field for field in fields(kind)}
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"{where} must have {', '.join(known)}")
            return None
        before = len(self.faults)
        found = dict(self._items(node, f"{where}.", tuple(known)))
        given = {
            name: self._field(name, value, known[name].default, f"{where}.{name}") for name, value in found.items()
        }
        for name, field in known.items():
            if field.default is MISSING and name not in given:
                self._fault(node, f"{where}.{name} is missing")
        if "until" in known and ("statement" in found) == ("destination" in found):
            self._fault(node, f"{where} must have either statement or destination")
        return kind(**given) if len(self.faults) == before else None

    def _field(self, name: str, node: Any, default: object, where: str) -> Any:
        if isinstance(default, tuple):
            values = [self._formed(name, item, f"{where}[{at}]") for at, item in enumerate(self._list(node, where))]
            return tuple(sorted(set(values) - {""}))
        if not isinstance(default, int):
            return self._formed(name, node, where)
        text = self._text(node, where)
        if text and not _NUMBER.fullmatch(text):
            self._fault(node, f"{where} must be a whole number of at most 15 digits")
            return -1
        return int(text or -1)

    def _formed(self, name: str, node: Any, where: str) -> str:
        text = self._statement(node, where) if name in _LONG else self._text(node, where)
        return self._convert(_FORMS.get(name, str), text, node, where)

    def _read_announced(self, node: Any, where: str) -> Announced | None:
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"{where} must name resource, and what will come there")
            return None
        found = dict(self._items(node, f"{where}.", ("resource", "reason", *KINDS)))
        if "resource" not in found:
            self._fault(node, f"{where}.resource is missing")
            return None
        values: dict[str, list[str]] = {}
        for kind in (name for name in KINDS if name in found):
            some = [self._value(kind, each, f"{where}.{kind}[{at}]") for at, each in self._each(found, kind, where)]
            values[kind] = sorted(set(some) - {""})
        reason = self._text(found["reason"], f"{where}.reason") if "reason" in found else ""
        resource = self._text(found["resource"], f"{where}.resource")
        return Announced(resource=resource, reason=reason, values={kind: some for kind, some in values.items() if some})

    def _each(self, found: Mapping[str, Any], kind: str, where: str) -> Iterator[tuple[int, Any]]:
        return enumerate(self._list(found[kind], f"{where}.{kind}"))

    def _value(self, kind: str, node: Any, where: str) -> str:
        return self._convert(KINDS[kind][1], self._text(node, where), node, where)

    def _convert(self, form: Callable[[str], str], text: str, node: Any, where: str) -> str:
        try:
            return form(text) if text else ""
        except ValueError as error:
            self._fault(node, f"{where}: {text[:80]!r} {error}")
            return ""

    def _items(self, node: Any, where: str, known: Sequence[str]) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name not in known:
                self._fault(key, f"{where}{name[:80]!r} is not known here; known are {', '.join(known)}")
            elif name in seen:
                self._fault(key, f"{where}{name} stands here twice")
            else:
                seen.add(name)
                yield name, value

    def _list(self, node: Any, where: str, room: int = MAX_ITEMS) -> Sequence[Any]:
        if not isinstance(node, yaml.SequenceNode):
            self._fault(node, f"{where} must be a list")
            return ()
        if len(node.value) > room:
            self._fault(node, f"{where} has {len(node.value)} entries, at most {room} are taken")
        return node.value[:room]

    def _statement(self, node: Any, where: str) -> str:
        """The scalar's text as it stands, of any characters; empty where there is a fault."""
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        if not text:
            self._fault(node, f"{where} must be a text")
        elif len(text) > MAX_STATEMENT_CHARACTERS:
            self._fault(node, f"{where} has {len(text)} characters, at most {MAX_STATEMENT_CHARACTERS} are taken")
        else:
            return text
        return ""

    def _text(self, node: Any, where: str) -> str:
        """The scalar's text; empty where there is a fault."""
        text = node.value.strip() if isinstance(node, yaml.ScalarNode) else ""
        if not text:
            self._fault(node, f"{where} must be a text")
        elif len(text) > MAX_TEXT_CHARACTERS:
            self._fault(node, f"{where} has {len(text)} characters, at most {MAX_TEXT_CHARACTERS} are taken")
        elif not text.isprintable():
            self._fault(node, f"{where} must be one line of printable text")
        else:
            return text
        return ""

    def _fault(self, node: Any, what: str) -> None:
        line = node.start_mark.line + 1 if isinstance(node, yaml.Node) else 1
        self.faults.append((line, what))
