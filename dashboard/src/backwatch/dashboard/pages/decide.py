"""The form for decisions on an alert: who, why, until when, by the alert's id.

A decision applies to what was on the screen. Each button holds a digest of that. When it is pressed and the store has
a different state by then, nothing is entered.
"""

import hashlib
import json
import time
from typing import Final

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError

from backwatch.collector.facts import IDENTITY
from backwatch.dashboard import reads, safe
from backwatch.dashboard.access import USER_HEADER
from backwatch.dashboard.pages import changed
from backwatch.store.connect import StoreFull, StoreUnavailable
from backwatch.store.decisions import WITH_END, UnknownAlert
from backwatch.store.views import AlertDetail

SPANS_S: Final = {"1 hour": 3_600, "1 day": 86_400, "1 week": 604_800, "30 days": 2_592_000, "for good": 0}
AVAILABLE: Final = {
    "open": ("acknowledge", "close", "mute"),
    "acknowledged": ("close", "mute", "reopen"),
    "closed": ("mute", "reopen"),
    "muted": ("close", "unmute"),
}
"""Decisions available in each state, except accept and revoke."""
ROWS: Final = (("acknowledge", "close", "mute", "accept"), ("reopen", "unmute", "revoke"))
"""Each button has a fixed place in every state: a second press never hits a different button."""
LABELS: Final = {
    "acknowledge": "Acknowledge", "close": "Close", "reopen": "Reopen", "mute": "Mute", "unmute": "Unmute",
    "accept": "Accept", "revoke": "Revoke acceptance",
}  # fmt: skip
RESULT_SHOWN_S: Final = 20
"""Seconds for which the result of a decision stays on the screen."""
BY: Final = "decide.by"
LAST: Final = "decide.last"
"""Session key of the last decision: digest and kind."""


def decide(detail: AlertDetail) -> None:
    """Draw the form. Its fields are read when a button is pressed, so the last input counts."""
    alert_id, new = detail.alert.id, bool(changed.pairs(detail.alert.evidence))
    cut, seen = changed.cut(detail), _hash_screen(detail)
    with st.form(f"decide.{alert_id}", enter_to_submit=False):
        st.subheader("Decide", anchor=False)
        who, span = st.columns(2)
        user = signed_in()
        if user:
            with who:
                st.caption("Signed in as")
                safe.text(user)
        else:
            who.text_input("Your name", key=BY, max_chars=200, persist_state="session")
        span.selectbox("Mute for" if new else "Mute or accept for", list(SPANS_S), index=2, key=f"span.{alert_id}")
        st.text_input("Reason", key=f"why.{alert_id}", max_chars=1_000)
        available = {*AVAILABLE.get(detail.alert.state, ()), "revoke" if detail.accepted else "" if cut else "accept"}
        for row in ROWS:
            with st.container(horizontal=True, gap="xsmall"):
                for kind in row:
                    _button(kind, alert_id, seen, available=kind in available, new=new)
        st.caption(
            "Acknowledge: an operator handles it. Close: this episode is done; the alert opens again when it recurs. "
            "Mute: nothing is delivered until the chosen time."
        )
        if cut:
            st.caption("The value is too long to be shown as a whole, so it cannot be accepted here.")
        elif new:
            st.caption(
                "Accept the new value: it belongs to this resource from now on. Any other value raises the alert again."
            )
        elif detail.rule is not None and detail.rule.accepts:
            st.caption(
                "Accept: treat this value as expected until the chosen time. Any other value raises the alert again."
            )
        elif detail.alert.key == detail.alert.resource:
            st.caption("Accept: treat this as expected. Until then, the rule raises nothing for this whole resource.")
        else:
            st.caption(
                "Accept: treat this as expected. Until the chosen time, the rule raises nothing for the value under "
                "*about*, for any cause."
            )
    until_s, result = st.session_state.get(f"result.{alert_id}", (0.0, ""))
    if time.time() < until_s:
        with st.container(key="result", border=True):
            safe.text(result)


def signed_in() -> str:
    """Return the user whom the proxy authenticated; empty without a proxy: users enter their name."""
    header = st.context.headers.get(USER_HEADER.decode(), "")
    return header.encode("latin-1", "replace").decode("utf-8", "replace")


def _hash_screen(detail: AlertDetail) -> str:
    """Return a digest of everything on the screen that a decision enters or replies to.

    Not of everything shown: an alert that fires every second could not be closed, and each new evidence would cost the
    session a set of buttons.
    """
    alert = detail.alert
    accepts = detail.rule.accepts if detail.rule is not None else ()
    values = {name: alert.evidence.get(name) for name in (*IDENTITY, *accepts, *changed.names_of(alert.evidence))}
    newest = detail.decisions[0].entry_id if detail.decisions else 0
    text = json.dumps([alert.id, alert.episode, newest, accepts, values], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _button(kind: str, alert_id: str, seen: str, *, available: bool, new: bool) -> None:
    accepts = new and kind == "accept"
    st.form_submit_button(
        "Accept the new value" if accepts else LABELS[kind], key=f"{kind}.{seen}", on_click=_submit,
        args=(alert_id, kind, accepts, seen), disabled=not available,
        type="primary" if available and (accepts or (kind == "acknowledge" and not new)) else "secondary",
    )  # fmt: skip


def _submit(alert_id: str, kind: str, for_good: bool, seen: str) -> None:
    """Submit a decision on the alert as it was drawn, not on what has changed since."""
    if (seen, kind) == st.session_state.get(LAST):
        return  # pressed twice, and entered
    by, why = signed_in() or str(st.session_state.get(BY, "")), str(st.session_state.get(f"why.{alert_id}", ""))
    if by.strip():
        result = _enter(alert_id, kind, by, why, for_good=for_good, seen=seen)
    else:
        result = "Enter your name first: every decision has an author."
    st.session_state[f"result.{alert_id}"] = (time.time() + RESULT_SHOWN_S, result)


def _enter(alert_id: str, kind: str, by: str, why: str, *, for_good: bool, seen: str) -> str:
    """Enter the decision, and return the result as a sentence."""
    seconds = SPANS_S[st.session_state[f"span.{alert_id}"]] if kind in WITH_END and not for_good else 0
    until_ns = time.time_ns() + seconds * 10**9 if seconds else 0
    try:
        now = reads.alert_now(alert_id)
        if now is None or _hash_screen(now) != seen:
            reads.invalidate()
            return "Nothing was entered: the alert has changed, check it again."
        number = reads.decide(
            alert_id, kind, by, why, until_ns=until_ns, evidence=now.alert.evidence, episode=now.alert.episode
        )
    except StoreFull as error:
        return f"Nothing was entered: {error.strerror}"
    except (UnknownAlert, ValueError) as error:
        return f"Nothing was entered: {error}"
    except StoreUnavailable as error:  # perhaps while it was being entered
        return f"The decision may not have been entered, check it: {error}"
    except SQLAlchemyError:
        return "The decision may not have been entered, check it: the store failed."
    st.session_state[f"why.{alert_id}"] = ""
    st.session_state[LAST] = (seen, kind)
    return f"{kind}: entered as number {number}, by {by}."
