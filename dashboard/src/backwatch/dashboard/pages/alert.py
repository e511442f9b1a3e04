"""Alert: what happened, what is known, what to do; and what a person says of it, always by the alert's id."""

import time
from typing import Final

import streamlit as st

from backwatch.collector import names
from backwatch.dashboard import reads, safe
from backwatch.dashboard.pages import parts
from backwatch.store.decisions import UnknownAlert
from backwatch.store.views import AlertDetail

COLOUR: Final = {"critical": "red", "high": "orange", "medium": "yellow", "low": "blue", "informational": "gray"}
HOUR_NS: Final = 3_600 * 10**9
MUTES: Final = {"1 hour": HOUR_NS, "1 day": 24 * HOUR_NS, "1 week": 168 * HOUR_NS}


def show() -> None:
    """The page."""
    alert_id = st.query_params.get("id", "")
    if st.button("← Alerts"):
        parts.go("alerts")
    if not alert_id or reads.alert(alert_id) is None:
        st.info("There is no such alert. Choose one from the list.")
        return
    _live(alert_id)
    _decide(alert_id)


@st.fragment(run_every=parts.REFRESH_S)
def _live(alert_id: str) -> None:
    detail = reads.alert(alert_id)
    if detail is None:
        return
    one = detail.alert
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(one.level if one.level in COLOUR else "low", color=COLOUR.get(one.level, "gray"))
        st.badge(one.state if one.state in parts.STATE else "open", color="gray")
        safe.text(f"{one.title}   ·   {one.rule}")
    facts = st.columns(4)
    facts[0].metric("Times", f"{one.count:,}", border=True)
    facts[1].metric("Episode", one.episode, border=True)
    facts[2].metric("First seen", safe.ago(one.first_ns, time.time_ns()), border=True)
    facts[3].metric("Last seen", safe.ago(one.last_ns, time.time_ns()), border=True)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _what(detail)
    with right:
        _meaning(detail)
    _history(detail)


def _what(detail: AlertDetail) -> None:
    one = detail.alert
    st.subheader("What was seen", anchor=False)
    safe.table([
        {"": "resource", "is": one.resource}, {"": "app", "is": one.app}, {"": "about", "is": one.key},
        {"": "alert id", "is": one.id},
    ])  # fmt: skip
    statement = one.evidence.get(names.QUERY_TEXT) or one.evidence.get(names.STATEMENT)
    if statement:
        st.caption("Statement, literals replaced")
        safe.code(statement)
    st.caption("Evidence of the newest occurrence")
    safe.evidence(one.evidence)


def _meaning(detail: AlertDetail) -> None:
    rule = detail.rule
    if rule is None:
        st.caption("This rule is no longer known.")
        return
    st.subheader("What it means", anchor=False)
    safe.text(rule.description)
    st.subheader("What to do", anchor=False)
    safe.text(rule.remediation)
    st.subheader("What this rule cannot see", anchor=False)
    safe.text(rule.blind_spots)
    if rule.tags:
        st.caption("ATT&CK and other tags")
        safe.text(", ".join(rule.tags))


def _history(detail: AlertDetail) -> None:
    st.subheader("Occurrences", anchor=False)
    safe.table([
        {"time": safe.when(one.time_ns), "episode": one.episode, "trace": one.trace_id, "span": one.span_id}
        for one in detail.occurrences[:50]
    ])  # fmt: skip
    if detail.decisions:
        st.subheader("Decisions", anchor=False)
        safe.table([
            {"time": safe.when(one.at_ns), "decision": one.kind, "by": one.by, "why": one.why, "until": safe.when(one.until_ns),
             "entry": one.entry_id}
            for one in detail.decisions
        ])  # fmt: skip
    if detail.deliveries:
        st.subheader("Deliveries", anchor=False)
        safe.table([
            {"event": one.kind, "endpoint": one.endpoint, "state": one.state, "attempts": one.attempts,
             "outcome": one.outcome, "webhook-id": one.event_id}
            for one in detail.deliveries
        ])  # fmt: skip


def _decide(alert_id: str) -> None:
    with st.container(border=True):
        st.subheader("Decide", anchor=False)
        who, why, mute = st.columns([1, 2, 1])
        by = who.text_input("Who you are", key="by", max_chars=200, persist_state="session")
        reason = why.text_input("Why", key=f"why.{alert_id}", max_chars=1_000)
        span = mute.selectbox("Mute or accept for", list(MUTES), key="mute")
        until_ns = time.time_ns() + MUTES[span]
        buttons = st.columns(4)
        for column, (label, kind, end) in zip(
            buttons,
            (("Acknowledge", "acknowledge", 0), ("Close", "close", 0), ("Mute", "mute", until_ns), ("Accept", "accept", until_ns)),
            strict=True,
        ):
            column.button(
                label, key=f"{kind}.{alert_id}", on_click=_say, args=(alert_id, kind, by, reason, end), width="stretch",
                disabled=not by.strip(),
            )  # fmt: skip
        if not by.strip():
            st.caption("Say who you are first: every decision is somebody's.")
    said = st.session_state.pop("said", "")
    if said:
        safe.text(said)


def _say(alert_id: str, kind: str, by: str, why: str, until_ns: int) -> None:
    try:
        entry = reads.decide(alert_id, kind, by, why, until_ns)
        st.session_state["said"] = f"{kind}: entry {entry}"
    except (UnknownAlert, ValueError) as error:
        st.session_state["said"] = str(error)
