"""What a person says of an alert: who, why, until when. It goes by the alert's id, never by a place on the screen."""

import time
from typing import Final

import streamlit as st

from backwatch.dashboard import reads, safe
from backwatch.dashboard.pages import changed
from backwatch.store.connect import StoreUnavailable
from backwatch.store.decisions import WITH_END, UnknownAlert
from backwatch.store.views import AlertDetail, AlertRow

SPANS_S: Final = {"1 hour": 3_600, "1 day": 86_400, "1 week": 604_800, "30 days": 2_592_000, "for good": 0}
SAYABLE: Final = {
    "open": ("acknowledge", "close", "mute", "accept"),
    "acknowledged": ("close", "mute", "accept", "reopen"),
    "closed": ("mute", "accept", "reopen"),
    "muted": ("close", "unmute", "accept"),
}
"""What can be said in each state, apart from taking an acceptance back."""
LABELS: Final = {
    "acknowledge": "Acknowledge", "close": "Close", "reopen": "Reopen", "mute": "Mute", "unmute": "Unmute",
    "accept": "Accept", "revoke": "Take acceptance back",
}  # fmt: skip
SAID_S: Final = 20
"""How long the answer to a decision stays on the screen, which is drawn anew meanwhile."""
BY: Final = "decide.by"


def decide(detail: AlertDetail) -> None:
    """The form. Its fields are read when a button is pressed, so what was typed last counts."""
    alert_id, new = detail.alert.id, bool(changed.pairs(detail.alert.evidence))
    with st.form(f"decide.{alert_id}", enter_to_submit=False):
        st.subheader("Decide", anchor=False)
        who, span = st.columns(2)
        who.text_input("Who you are", key=BY, max_chars=200, persist_state="session")
        span.selectbox("Mute for" if new else "Mute or accept for", list(SPANS_S), index=2, key=f"span.{alert_id}")
        st.text_input("Why", key=f"why.{alert_id}", max_chars=1_000)
        with st.container(horizontal=True, gap="xsmall"):
            sayable = (*SAYABLE.get(detail.alert.state, ()), "revoke")
            mute = "unmute" if detail.alert.state == "muted" else "mute"
            accept = "revoke" if detail.accepted else "accept"
            # Each has its place whatever the state: a second click never hits another word.
            for kind in ("acknowledge", "close", mute, accept, "reopen"):
                _button(kind, detail.alert, sayable=kind in sayable, new=new)
        st.caption(
            "Acknowledge: somebody is on it. Close: this episode is done; it opens again when it happens again. "
            "Mute: nothing is delivered meanwhile."
        )
        if new:
            st.caption(
                "Accept the new one: what stands under *is* belongs to this resource from now on, for good. The rule "
                "goes on watching: any other value is an alert again."
            )
        elif detail.rule is not None and detail.rule.accepts:
            st.caption("Accept: exactly what is shown here is as it should be, for so long; anything else is told.")
        elif detail.alert.key == detail.alert.resource:
            st.caption("Accept: this is as it should be. For so long, the rule is silent about this whole resource.")
        else:
            st.caption(
                "Accept: this is as it should be. For so long, the rule is silent about what stands under *about*, "
                "whatever else happens there."
            )
    until_s, said = st.session_state.get(f"said.{alert_id}", (0.0, ""))
    if time.time() < until_s:
        with st.container(key="said", border=True):
            safe.text(said)


def _button(kind: str, alert: AlertRow, *, sayable: bool, new: bool) -> None:
    accepts = new and kind == "accept"
    st.form_submit_button(
        "Accept the new one" if accepts else LABELS[kind], key=f"{kind}.{alert.id}", on_click=_say,
        args=(alert, kind, accepts), disabled=not sayable,
        type="primary" if sayable and (accepts or (kind == "acknowledge" and not new)) else "secondary",
    )  # fmt: skip


def _say(alert: AlertRow, kind: str, for_good: bool) -> None:
    """Says it of the alert as it was drawn: what came meanwhile is not accepted."""
    alert_id = alert.id
    by, why = str(st.session_state.get(BY, "")), str(st.session_state.get(f"why.{alert_id}", ""))
    seconds = SPANS_S[st.session_state[f"span.{alert_id}"]] if kind in WITH_END and not for_good else 0
    until_ns = time.time_ns() + seconds * 10**9 if seconds else 0
    if not by.strip():
        said = "Say who you are first: every decision is somebody's."
    else:
        try:
            number = reads.decide(alert_id, kind, by, why, until_ns, alert.evidence)
            said = f"{kind}: entered as number {number}, by {by}."
            st.session_state[f"why.{alert_id}"] = ""
        except (UnknownAlert, StoreUnavailable, ValueError) as error:
            said = f"Nothing was entered: {error}"
    st.session_state[f"said.{alert_id}"] = (time.time() + SAID_S, said)
