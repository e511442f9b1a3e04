"""Page of a rule, made from its document."""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from backwatch.dashboard import reads, safe, words
from backwatch.dashboard.pages import parts, rule_sections
from backwatch.dashboard.pages.changed import WAS
from backwatch.store.rules_meta import RuleMeta

EVERY: Final = "every service"


@parts.live
def show() -> None:
    """Draw the page."""
    st.page_link(st.session_state["pages"]["rules"], label="← Rules")
    name = st.query_params.get("name", "")
    rule = reads.rule(name) if name else None
    if rule is None:
        st.title("No such rule", anchor=False)
        st.caption(
            "The detector does not know this rule, or no longer: it was removed or renamed. Its alerts are kept."
        )
        return
    _head(rule)
    left, right = parts.sides(3, 2)
    with left, st.container(key="meaning"):
        rule_sections.part("means", rule.description)
        rule_sections.points("how", rule.how or rule.fires_on)
        rule_sections.part("do", rule.remediation)
        _drivers(rule)
    with right, st.container(key="result"):
        rule_sections.points("nothing", rule.falsepositives or ("Nothing is known.",))
        rule_sections.part("blind", rule.blind_spots)
        rule_sections.points("evidence", _evidence(dict(rule.evidence)))
        rule_sections.techniques(rule)
        rule_sections.points("fires", rule.fires_on)
        rule_sections.points("silent", rule.silent_on)
        if rule.instead_of:
            rule_sections.part("instead", ", ".join(rule.instead_of))
        if rule.references:
            st.subheader("Read more", anchor=False)
            safe.code("\n".join(rule.references))


def _head(rule: RuleMeta) -> None:
    safe.heading(rule.title)
    many = reads.open_by_rule().get(rule.name, 0)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(words.level(rule.level), color=words.colour(rule.level))
        safe.text(safe.line(rule.name, 100))
        st.page_link(
            st.session_state["pages"]["alerts"],
            label=f"Open alerts: {words.count(many)} →" if many else "No open alerts",
            query_params={"q": rule.name, "state": "open"},
            disabled=not many,
        )


def _evidence(meanings: Mapping[str, str]) -> list[str]:
    """Return a line for each fact; the old value is listed with the new one."""
    lines: list[str] = []
    for name, meaning in meanings.items():
        if name.endswith(WAS) and name.removesuffix(WAS) in meanings:
            continue
        shown = f"{name} (was, is)" if f"{name}{WAS}" in meanings else name
        lines.append(f"{shown}: {meaning}" if meaning else shown)
    return lines


def _drivers(rule: RuleMeta) -> None:
    systems = {system for parameter in rule.parameters for line in parameter.lines for system in line.systems}
    if not systems:
        return
    attached = systems & reads.systems()
    options = [*(["", EVERY] if attached else [EVERY]), *sorted(systems - set(rule_sections.ANYWHERE))]
    chosen = st.selectbox(
        "Driver by driver, for", options, key="system", format_func=_system, bind="query-params", width=240
    )
    shown = set[str]() if chosen == EVERY else {chosen} if chosen else attached
    for number, parameter in enumerate(rule.parameters):
        if rule_sections.lines_for(parameter, shown):
            rule_sections.drivers(parameter, shown, key=f"rule.drivers.{number}")


def _system(name: str) -> str:
    return safe.line(name) or "the services in use"
