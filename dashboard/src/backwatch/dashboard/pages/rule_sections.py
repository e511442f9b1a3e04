"""Sections that the pages Alert and Rule share."""

from collections.abc import Collection, Sequence
from typing import Final

import streamlit as st

from backwatch.dashboard import safe
from backwatch.store.rules_meta import DriverLine, DriverLines, RuleMeta

ANYWHERE: Final = ("every service", "through a layer")
"""Entries in place of a kind of service that apply to every kind."""
TITLES: Final = {
    "means": "What it means", "how": "How the attack works", "do": "What to do", "nothing": "False positives",
    "blind": "What this rule cannot see", "evidence": "Evidence to look at", "fires": "Examples that it fires on",
    "silent": "Examples that it stays silent on", "instead": "Raised instead of",
}  # fmt: skip
"""Headings are rendered as Markdown, so they are literals, selected by key."""


def part(what: str, text: str) -> None:
    """Draw a heading and a text of the rule; nothing for an empty text."""
    if text.strip():
        _heading(what)
        safe.text(text)


def points(what: str, entries: Sequence[str]) -> None:
    """Draw a heading and a list of the rule."""
    if entries:
        _heading(what)
        safe.text("\n".join(f"• {entry}" for entry in entries) if len(entries) > 1 else entries[0])


def techniques(rule: RuleMeta) -> None:
    """Draw ATT&CK techniques, with the version of their names, and CVEs."""
    names = [
        f"{technique.id} {technique.name}".strip() + (f" (later: {technique.later})" if technique.later else "")
        for technique in rule.techniques
    ]
    faults = [f"CVE-{tag.removeprefix('cve.')}" for tag in rule.tags if tag.startswith("cve.")]
    if names or faults:
        st.subheader("ATT&CK technique", anchor=False)
        safe.text("\n".join((*names, *faults)))
        if rule.attack:
            safe.text(f"As of ATT&CK {rule.attack}")


def lines_for(parameter: DriverLines, systems: Collection[str]) -> list[DriverLine]:
    """Return the lines for these kinds of service; all lines if none is given."""
    known = {*systems, *ANYWHERE}
    return [line for line in parameter.lines if not systems or known & set(line.systems)]


def drivers(parameter: DriverLines, systems: Collection[str], *, key: str) -> None:
    """Draw the remedy for each driver."""
    with st.container(key=key):
        safe.text(f"{parameter.title}. {parameter.note}" if parameter.note else f"{parameter.title}.")
        safe.code("\n\n".join(f"# {line.driver}\n{line.code}" for line in lines_for(parameter, systems)))


def _heading(what: str) -> None:
    st.subheader(TITLES[what], anchor=False)
