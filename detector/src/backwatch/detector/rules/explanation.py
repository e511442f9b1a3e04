"""The page of a verdict, made from its rule: for a terminal, as JSON, and for whoever links it."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from backwatch.collector import names
from backwatch.detector import detectors, parameters
from backwatch.detector.derived.identity_facts import LIMITS, WAS
from backwatch.detector.rules.correlation import MEANINGS, in_words, said_of
from backwatch.detector.rules.field_meanings import TOLD, meanings
from backwatch.detector.rules.sigma import Rule
from backwatch.detector.rules.techniques import LATER, VERSION, techniques

WIDTH: Final = 100
CODE: Final = "    "
"""Before a line of code, which is not broken: it is there to be copied."""
_BESIDE: Final[Mapping[str, str]] = {
    names.CODE_FUNCTION: "Function of the app that made the call.",
    names.CODE_FILE: "The file it stands in.",
    names.CODE_LINE: "The line of the call.",
    names.HTTP_ROUTE: "Route of the request that the app was answering.",
    names.CERT_NOT_BEFORE: "First moment of the certificate's life.",
    names.CERT_NOT_AFTER: "Last moment of the certificate's life.",
}
"""Meanings of what stands in an alert's evidence and is no field of a rule."""


@cache
def _known() -> Mapping[tuple[str, str], str]:
    return {(one.over, one.field): one.meaning for one in meanings(detectors.discover())}


def meaning(name: str, over: str) -> str:
    """What a name in an alert's evidence means; empty: nobody says."""
    before = name.removesuffix(WAS)
    if before != name and before in LIMITS:
        return f"What {before} was before; told where it was another one."
    told = next((_known()[one, name] for one in (over, "call", "window") if _known().get((one, name))), "")
    return told or _BESIDE.get(name) or MEANINGS.get(name) or TOLD.get(name, "")


def explanation(rule: Rule) -> dict[str, Any]:
    """What a person should know of a verdict, as plain data."""
    counts = rule.correlation
    look = dict.fromkeys((*rule.looks_at, *(said_of(counts) if counts else ()), *sorted(rule.fields)))
    return {
        "name": rule.name,
        "title": rule.title,
        "level": rule.level,
        "means": rule.description,
        "counts": in_words(counts) if counts else "",
        "how": list(rule.how),
        "fires_on": [one.name for one in rule.tests if one.fires],
        "evidence": [{"field": one, "meaning": meaning(one, rule.over)} for one in look],
        "remediation": rule.remediation,
        "parameters": [_lines(parameters.discover()[one]) for one in rule.parameters],
        "falsepositives": list(rule.falsepositives),
        "not": [one.name for one in rule.tests if not one.fires],
        "blind_spots": rule.blind_spots,
        "attack": VERSION,
        "techniques": techniques(rule.tags),
        "cves": [tag.removeprefix("cve.") for tag in rule.tags if tag.startswith("cve.")],
        "instead_of": list(rule.instead_of),
        "references": list(rule.references),
    }


def explained(rule: Rule) -> dict[str, Any]:
    """What of its page stands in no field of a rule as it is written, but is made here."""
    told = explanation(rule)
    return {name: told[name] for name in ("how", "fires_on", "evidence", "parameters", "not", "attack", "techniques",
                                          "instead_of")}  # fmt: skip


def _lines(one: parameters.Parameters) -> dict[str, Any]:
    lines = [{"systems": list(line.systems), "driver": line.driver, "code": line.code} for line in one.lines]
    return {"title": one.title, "note": one.note, "lines": lines}


def page(told: Mapping[str, Any]) -> str:
    """An explanation as plain text."""
    how = told["how"] or told["fires_on"]
    sections: list[tuple[str, Iterable[str]]] = [
        ("What it means", [told["means"]]),
        ("What it counts", [told["counts"]]),
        ("How it is done to you", (f"- {one}" for one in how)),
        ("Evidence to look at", (_evidence(one) for one in told["evidence"])),
        ("What to do", [told["remediation"]]),
        *((f"Driver by driver: {one['title']}", _drivers(one)) for one in told["parameters"]),
        ("False positives", (f"- {one}" for one in told["falsepositives"])),
        ("It fires on", (f"- {one}" for one in told["fires_on"])),
        ("It stays silent on", (f"- {one}" for one in told["not"])),
        ("Blind spots", [told["blind_spots"]]),
        (f"ATT&CK {told['attack']}", (_technique(one) for one in told["techniques"])),
        ("CVE", (f"- CVE-{one}" for one in told["cves"])),
        ("Raised instead of", [", ".join(told["instead_of"])] if told["instead_of"] else []),
        ("Read more", (f"- {one}" for one in told["references"])),
    ]
    text = f"{told['name']} · {told['level']}\n{told['title']}\n"
    for title, lines in sections:
        body = "".join(_wrapped(line) for line in lines if line)
        text += f"\n{title}\n{body}" if body else ""
    return text


def _evidence(one: Mapping[str, str]) -> str:
    return f"- {one['field']}: {one['meaning']}" if one["meaning"] else f"- {one['field']}"


def _drivers(one: Mapping[str, Any]) -> Iterator[str]:
    yield one["note"]
    for line in one["lines"]:
        yield f"{line['driver']} ({', '.join(line['systems'])})"
        yield f"{CODE}{line['code']}"


def _technique(one: Mapping[str, str]) -> str:
    later = f" ({LATER} calls it {one['later']})" if one["later"] else ""
    return f"- {one['id']} {one['name']}{later}: {one['url']}"


def _wrapped(line: str) -> str:
    if line.startswith(CODE):
        return f"{line}\n"
    after = "    " if line.startswith("- ") else "  "
    lines = textwrap.wrap(
        line, WIDTH, initial_indent="  ", subsequent_indent=after, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines) + "\n"
