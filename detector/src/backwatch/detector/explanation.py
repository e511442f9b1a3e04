"""The page of a verdict, made from its rule: for a terminal, as JSON, and for whoever links it."""

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, Final

from backwatch.detector import detectors
from backwatch.detector.engine.meanings import meanings
from backwatch.detector.engine.sigma import Rule

ATTACK_VERSION: Final = "v18.1"
"""The version of ATT&CK whose techniques rules name."""
TECHNIQUE: Final = re.compile(r"attack\.(t\d{4})(?:\.(\d{3}))?")
LATER: Final = frozenset(("T1685", "T1685.002", "T1689"))
"""Techniques of v19, which some rules name beside what v18.1 calls them."""
WIDTH: Final = 100


def techniques(rule: Rule) -> list[dict[str, str]]:
    """The ATT&CK techniques of a rule: id, version, address."""
    found: list[dict[str, str]] = []
    for tag in rule.tags:
        told = TECHNIQUE.fullmatch(tag)
        if told:
            name = told[1].upper() + (f".{told[2]}" if told[2] else "")
            version = "v19" if name in LATER else ATTACK_VERSION
            address = f"https://attack.mitre.org/techniques/{name.replace('.', '/')}/"
            found.append({"id": name, "version": version, "url": address})
    return found


def explanation(rule: Rule) -> dict[str, Any]:
    """What a person should know of a verdict, as plain data."""
    known = {(one.over, one.field): one for one in meanings(detectors.discover())}
    told = [known[rule.over, name] for name in sorted(rule.fields) if (rule.over, name) in known]
    return {
        "name": rule.name,
        "title": rule.title,
        "level": rule.level,
        "means": rule.description,
        "how": [one.name for one in rule.tests if one.fires],
        "evidence": [{"field": one.field, "meaning": one.meaning} for one in told],
        "remediation": rule.remediation,
        "falsepositives": list(rule.falsepositives),
        "not": [one.name for one in rule.tests if not one.fires],
        "blind_spots": rule.blind_spots,
        "techniques": techniques(rule),
        "cves": [tag.removeprefix("cve.") for tag in rule.tags if tag.startswith("cve.")],
        "instead_of": list(rule.instead_of),
        "references": list(rule.references),
    }


def page(told: Mapping[str, Any]) -> str:
    """An explanation as plain text."""
    attack = [f"{one['id']} ({one['version']})  {one['url']}" for one in told["techniques"]]
    sections: list[tuple[str, Iterable[str]]] = [
        ("What it means", [told["means"]]),
        ("How it is done to you", (f"- {one}" for one in told["how"])),
        ("Evidence to look at", (f"- {one['field']}: {one['meaning']}" for one in told["evidence"])),
        ("What to do", [told["remediation"]]),
        ("False positives", (f"- {one}" for one in told["falsepositives"])),
        ("It stays silent on", (f"- {one}" for one in told["not"])),
        ("Blind spots", [told["blind_spots"]]),
        ("ATT&CK", (f"- {one}" for one in (*attack, *(f"CVE-{cve}" for cve in told["cves"])))),
        ("Raised instead of", [", ".join(told["instead_of"])] if told["instead_of"] else []),
        ("Read more", (f"- {one}" for one in told["references"])),
    ]
    text = f"{told['name']} · {told['level']}\n{told['title']}\n"
    for title, lines in sections:
        body = "".join(_wrapped(line) for line in lines)
        text += f"\n{title}\n{body}" if body else ""
    return text


def _wrapped(line: str) -> str:
    after = "    " if line.startswith("- ") else "  "
    lines = textwrap.wrap(
        line, WIDTH, initial_indent="  ", subsequent_indent=after, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines) + "\n"
