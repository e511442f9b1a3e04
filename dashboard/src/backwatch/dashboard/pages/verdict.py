"""Parts of a verdict's page, which the pages Alert and Rule show alike."""

from collections.abc import Collection, Sequence
from typing import Final

import streamlit as st

from backwatch.dashboard import safe
from backwatch.store.rules_meta import DriverLine, DriverLines, RuleMeta

ANYWHERE: Final = ("every service", "through a layer")
"""Stand in the place of a kind of service, and go for each."""
TITLES: Final = {
    "means": "What it means", "how": "How it is done to you", "do": "What to do", "nothing": "When it is nothing",
    "blind": "What this rule cannot see", "evidence": "Evidence to look at", "fires": "Examples that it fires on",
    "silent": "Examples that it stays silent on", "instead": "Raised instead of",
}  # fmt: skip
"""Headings are rendered: they are ours alone, and handed over by key."""


def part(what: str, text: str) -> None:
    """A heading of ours and a text of the rule's; nothing where it says nothing."""
    if text.strip():
        _heading(what)
        safe.text(text)


def points(what: str, told: Sequence[str]) -> None:
    """A heading of ours and what the rule lists under it."""
    if told:
        _heading(what)
        safe.text("\n".join(f"• {one}" for one in told) if len(told) > 1 else told[0])


def techniques(rule: RuleMeta) -> None:
    """What ATT&CK calls it, in the version that the rules are written for, and the faults it is about."""
    told = [f"{one.id} {one.name}".strip() + (f" (later: {one.later})" if one.later else "") for one in rule.techniques]
    faults = [f"CVE-{tag.removeprefix('cve.')}" for tag in rule.tags if tag.startswith("cve.")]
    if told or faults:
        st.subheader("ATT&CK technique", anchor=False)
        safe.text("\n".join((*told, *faults)))
        if rule.attack:
            safe.text(f"As of ATT&CK {rule.attack}")


def lines_for(told: DriverLines, systems: Collection[str]) -> list[DriverLine]:
    """The lines for these kinds of service; all where none is named."""
    known = {*systems, *ANYWHERE}
    return [one for one in told.lines if not systems or known & set(one.systems)]


def drivers(told: DriverLines, systems: Collection[str], *, key: str) -> None:
    """What mends it, driver by driver."""
    with st.container(key=key):
        safe.text(f"{told.title}. {told.note}" if told.note else f"{told.title}.")
        safe.code("\n\n".join(f"# {one.driver}\n{one.code}" for one in lines_for(told, systems)))


def _heading(what: str) -> None:
    st.subheader(TITLES[what], anchor=False)
