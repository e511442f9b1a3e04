"""Page of an alert: what happened, what is known, what to do, and decisions by the alert's id."""

import time
from typing import Final

import streamlit as st

from backwatch.collector import names
from backwatch.dashboard import reads, safe, words
from backwatch.dashboard.pages import changed, parts, rule_sections
from backwatch.dashboard.pages.decide import decide
from backwatch.store.decisions import WITH_END
from backwatch.store.views import AlertDetail

SHOWN: Final = 50
DIFFERENCE: Final = "backwatch.query.difference"


@parts.live
def show() -> None:
    """Draw the page."""
    st.page_link(
        st.session_state["pages"]["alerts"], label="← Alerts", query_params=st.session_state.get("alerts.query", {})
    )
    alert_id = st.query_params.get("id", "")
    detail = reads.alert(alert_id) if safe.is_id(alert_id) else None
    if detail is None:
        st.title("No such alert", anchor=False)
        st.caption("It may have been removed after its time. Choose another one from the list.")
        return
    _head(detail)
    left, right = parts.sides(3, 2)
    with left:
        _show_facts(detail)
        _history(detail)
    with right:
        decide(detail)
        _meaning(detail)


def _head(detail: AlertDetail) -> None:
    alert, now_ns = detail.alert, time.time_ns()
    safe.heading(detail.escalated_by.title if detail.escalated_by else alert.title)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(words.level(alert.level), color=words.colour(alert.level))
        st.badge(words.state(alert.state), color="gray")
        if detail.escalated_by and detail.rule:
            safe.text(safe.line(f"raised from {words.level(detail.rule.level)} by {detail.escalated_by.name}"))
        safe.text(safe.line(f"{alert.resource} · {alert.app}"))
    with st.container(key="figures"):
        times, episode, first, last = st.columns([1, 1, 2, 2])
    times.metric(
        "Times",
        words.count(alert.count),
        "over all episodes",
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
    )
    episode.metric(
        "Episode",
        words.count(alert.episode),
        "cleared" if alert.cleared_ns else "not cleared",
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
    )
    first.metric(
        "First seen",
        words.ago(alert.first_ns, now_ns),
        f"{words.format_moment(alert.first_ns)} UTC",
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
    )
    last.metric(
        "Last seen", words.ago(alert.last_ns, now_ns), f"{words.format_moment(alert.last_ns)} UTC",
        delta_color="off", delta_arrow="off", border=True, height="stretch",
    )  # fmt: skip


def _show_facts(detail: AlertDetail) -> None:
    alert = detail.alert
    st.subheader("What was seen", anchor=False)
    changed.show(detail)
    changed.show_others(detail)
    safe.pairs(
        [
            ("resource", alert.resource),
            ("app", alert.app),
            *([("about", alert.key)] if alert.key != alert.resource else []),
            ("rule", alert.rule),
            ("alert id", alert.id),
        ],
        ("what", "value"),
        key="alert.about",
        widths=(90, 570),
    )
    statement = names.QUERY_TEXT if alert.evidence.get(names.QUERY_TEXT) else names.STATEMENT
    if alert.evidence.get(statement):
        st.caption("The statement, its literals replaced")
        safe.code(alert.evidence[statement])
    if alert.evidence.get(DIFFERENCE):
        st.caption("What is new in it stands between « and »")
        safe.code(alert.evidence[DIFFERENCE])
    if alert.evidence:
        st.caption("Evidence of the newest occurrence")
        safe.evidence(
            alert.evidence, but=(statement, DIFFERENCE, *changed.names_of(alert.evidence)), key="alert.evidence"
        )


def _meaning(detail: AlertDetail) -> None:
    rule = detail.rule
    if rule is None:
        st.caption("This rule is no longer known.")
        return
    with st.container(key="meaning"):
        rule_sections.part("means", (detail.escalated_by or rule).description)
        st.page_link(
            st.session_state["pages"]["rule"], label="All about this rule →",
            # The id for a refresh of this page that is on its way: it reads the address that the link has set.
            query_params={"name": rule.name, "system": _system(detail), "id": detail.alert.id},
        )  # fmt: skip
        rule_sections.part("do", (detail.escalated_by or rule).remediation)
        for number, parameter in enumerate(rule.parameters):
            if _system(detail) and rule_sections.lines_for(parameter, [_system(detail)]):
                rule_sections.drivers(parameter, [_system(detail)], key=f"alert.drivers.{number}")
        rule_sections.points("nothing", rule.falsepositives or ("Nothing is known.",))
        rule_sections.part("blind", rule.blind_spots)


def _system(detail: AlertDetail) -> str:
    """Return the kind of service of an alert, as the contract names it; empty: unknown."""
    found = (detail.alert.evidence.get(name) for name in names.SYSTEMS)
    return next((system for system in found if isinstance(system, str)), "") or detail.alert.resource.partition(" ")[0]


def _history(detail: AlertDetail) -> None:
    if detail.decisions:
        st.subheader("Decisions", anchor=False)
        safe.table(
            [
                {"time, UTC": words.format_moment(decision.at_ns), "decision": decision.kind, "by": decision.by,
                 "why": decision.why,
                 "holds": words.lasts(decision.until_ns) if decision.kind in WITH_END else "",
                 "entry": decision.entry_id}
                for decision in detail.decisions[:SHOWN]
            ],
            key="alert.decisions",
        )  # fmt: skip
    if detail.occurrences:
        st.subheader("Newest occurrences", anchor=False)
        safe.table(
            [
                {"time, UTC": words.format_moment(occurrence.time_ns), "episode": occurrence.episode,
                 "trace": occurrence.trace_id,
                 "span": occurrence.span_id}
                for occurrence in detail.occurrences[:SHOWN]
            ],
            key="alert.occurrences", column_config={"trace": st.column_config.TextColumn(width=290)},
        )  # fmt: skip
    if len(detail.episodes) > 1:
        st.subheader("Episodes", anchor=False)
        safe.table(
            [
                {"episode": episode.number, "opened, UTC": words.format_moment(episode.opened_ns),
                 "cleared, UTC": words.format_moment(episode.cleared_ns)}
                for episode in detail.episodes[:SHOWN]
            ],
            key="alert.episodes",
        )  # fmt: skip
    if detail.deliveries:
        st.subheader("Deliveries", anchor=False)
        safe.table(
            [
                {"event": delivery.kind, "endpoint": delivery.endpoint, "state": delivery.state,
                 "attempts": delivery.attempts,
                 "outcome": delivery.outcome, "webhook-id": delivery.event_id}
                for delivery in detail.deliveries[:SHOWN]
            ],
            key="alert.deliveries",
        )  # fmt: skip
