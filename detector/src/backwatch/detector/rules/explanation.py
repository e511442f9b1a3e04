"""The page that explains an alert, built from its rule: for a terminal, as JSON, and for links."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from backwatch.collector import facts
from backwatch.detector import detectors, parameters
from backwatch.detector.derived.identity_facts import LIMITS, WAS
from backwatch.detector.rules.correlation import MEANINGS, describe_correlation, evidence_fields
from backwatch.detector.rules.field_meanings import list_fields
from backwatch.detector.rules.sigma import Rule
from backwatch.detector.rules.techniques import LATER, VERSION, techniques

WIDTH: Final = 100
CODE: Final = "    "
"""Indentation of a line of code. Such a line is not wrapped, so that it can be copied."""


@cache
def _index_meanings() -> Mapping[tuple[str, str], str]:
    return {(field.over, field.field): field.meaning for field in list_fields(detectors.discover())}


def get_meaning(name: str, over: str) -> str:
    """Return the meaning of a name in an alert's evidence; empty where it is unknown."""
    before = name.removesuffix(WAS)
    if before != name and before in LIMITS:
        return f"The previous value of {before}, where it was different."
    known = (_index_meanings().get((kind, name)) for kind in (over, "call", "window", "loss", "process"))
    return (
        next(filter(None, known), "")
        or MEANINGS.get(name)
        or (facts.BY_NAME[name].meaning if name in facts.BY_NAME else "")
    )


def explain_rule(rule: Rule) -> dict[str, Any]:
    """Return the explanation of a rule as plain data."""
    counts = rule.correlation
    names = dict.fromkeys((*rule.looks_at, *(evidence_fields(counts) if counts else ()), *sorted(rule.fields)))
    return {
        "name": rule.name,
        "title": rule.title,
        "level": rule.level,
        "means": rule.description,
        "counts": describe_correlation(counts) if counts else "",
        "how": list(rule.how),
        "fires_on": [example.name for example in rule.tests if example.fires],
        "evidence": [{"field": name, "meaning": get_meaning(name, rule.over)} for name in names],
        "remediation": rule.remediation,
        "parameters": [_lines(parameters.discover()[name]) for name in rule.parameters],
        "falsepositives": list(rule.falsepositives),
        "not": [example.name for example in rule.tests if not example.fires],
        "blind_spots": rule.blind_spots,
        "attack": VERSION,
        "techniques": techniques(rule.tags),
        "cves": [tag.removeprefix("cve.") for tag in rule.tags if tag.startswith("cve.")],
        "instead_of": list(rule.instead_of),
        "escalates": rule.escalates,
        "references": list(rule.references),
    }


def rule_page_data(rule: Rule) -> dict[str, Any]:
    """Return the parts of the page that are no fields of the rule document."""
    page = explain_rule(rule)
    return {
        name: page[name]
        for name in (
            "how", "fires_on", "evidence", "parameters", "not", "attack", "techniques", "instead_of", "escalates",
        )
    }  # fmt: skip


def _lines(found: parameters.DriverParameters) -> dict[str, Any]:
    lines = [{"systems": list(line.systems), "driver": line.driver, "code": line.code} for line in found.lines]
    return {"title": found.title, "note": found.note, "lines": lines}


def render_page(page: Mapping[str, Any]) -> str:
    """Render an explanation as plain text."""
    how = page["how"] or page["fires_on"]
    sections: list[tuple[str, Iterable[str]]] = [
        ("What it means", [page["means"]]),
        ("What it counts", [page["counts"]]),
        ("How it is done to you", (f"- {item}" for item in how)),
        ("Evidence to look at", (_evidence(item) for item in page["evidence"])),
        ("What to do", [page["remediation"]]),
        *((f"Driver by driver: {item['title']}", _drivers(item)) for item in page["parameters"]),
        ("False positives", (f"- {item}" for item in page["falsepositives"])),
        ("It fires on", (f"- {item}" for item in page["fires_on"])),
        ("It stays silent on", (f"- {item}" for item in page["not"])),
        ("Blind spots", [page["blind_spots"]]),
        (f"ATT&CK {page['attack']}", (_technique(item) for item in page["techniques"])),
        ("CVE", (f"- CVE-{item}" for item in page["cves"])),
        ("Raised instead of", [", ".join(page["instead_of"])] if page["instead_of"] else []),
        (
            "Raises no alert of its own: raises to its level that of",
            [rule_name] if (rule_name := page["escalates"]) else [],
        ),
        ("Read more", (f"- {item}" for item in page["references"])),
    ]
    text = f"{page['name']} · {page['level']}\n{page['title']}\n"
    for title, lines in sections:
        body = "".join(_wrap(line) for line in lines if line)
        text += f"\n{title}\n{body}" if body else ""
    return text


def _evidence(fact: Mapping[str, str]) -> str:
    return f"- {fact['field']}: {fact['meaning']}" if fact["meaning"] else f"- {fact['field']}"


def _drivers(found: Mapping[str, Any]) -> Iterator[str]:
    yield found["note"]
    for line in found["lines"]:
        yield f"{line['driver']} ({', '.join(line['systems'])})"
        yield f"{CODE}{line['code']}"


def _technique(found: Mapping[str, str]) -> str:
    later = f" ({LATER} calls it {found['later']})" if found["later"] else ""
    return f"- {found['id']} {found['name']}{later}: {found['url']}"


def _wrap(line: str) -> str:
    if line.startswith(CODE):
        return f"{line}\n"
    after = "    " if line.startswith("- ") else "  "
    lines = textwrap.wrap(
        line, WIDTH, initial_indent="  ", subsequent_indent=after, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines) + "\n"
