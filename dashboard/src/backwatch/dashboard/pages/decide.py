"""What a person says of an alert: who, why, until when. It goes by the alert's id, never by a place on the screen.

And it goes by what was on the screen. A button holds a digest of what it decides on; when it is pressed, the store is
asked, and where that has something else by now, nothing is entered.
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
SAYABLE: Final = {
    "open": ("acknowledge", "close", "mute"),
    "acknowledged": ("close", "mute", "reopen"),
    "closed": ("mute", "reopen"),
    "muted": ("close", "unmute"),
}
"""What can be said in each state, apart from accepting and taking that back."""
ROWS: Final = (("acknowledge", "close", "mute", "accept"), ("reopen", "unmute", "revoke"))
"""Each word has its place, whatever the state: a second press never hits another word, least of all its contrary."""
LABELS: Final = {
    "acknowledge": "Acknowledge", "close": "Close", "reopen": "Reopen", "mute": "Mute", "unmute": "Unmute",
    "accept": "Accept", "revoke": "Take acceptance back",
}  # fmt: skip
SAID_S: Final = 20
"""How long the answer to a decision stays on the screen, which is drawn anew meanwhile."""
BY: Final = "decide.by"
SAID: Final = "decide.said"
"""Of what was decided last, and which word it was."""


def decide(detail: AlertDetail) -> None:
    """The form. Its fields are read when a button is pressed, so what was typed last counts."""
    alert_id, new = detail.alert.id, bool(changed.pairs(detail.alert.evidence))
    cut, seen = changed.cut(detail), _seen(detail)
    with st.form(f"decide.{alert_id}", enter_to_submit=False):
        st.subheader("Decide", anchor=False)
        who, span = st.columns(2)
        user = signed_in()
        if user:
            with who:
                st.caption("Signed in as")
                safe.text(user)
        else:
            who.text_input("Who you are", key=BY, max_chars=200, persist_state="session")
        span.selectbox("Mute for" if new else "Mute or accept for", list(SPANS_S), index=2, key=f"span.{alert_id}")
        st.text_input("Why", key=f"why.{alert_id}", max_chars=1_000)
        sayable = {*SAYABLE.get(detail.alert.state, ()), "revoke" if detail.accepted else "" if cut else "accept"}
        for row in ROWS:
            with st.container(horizontal=True, gap="xsmall"):
                for kind in row:
                    _button(kind, alert_id, seen, sayable=kind in sayable, new=new)
        st.caption(
            "Acknowledge: somebody is on it. Close: this episode is done; it opens again when it happens again. "
            "Mute: nothing is delivered meanwhile."
        )
        if cut:
            st.caption("What is to be accepted is too long to be shown as a whole, so it cannot be accepted here.")
        elif new:
            st.caption(
                "Accept the new one: what it is now belongs to this resource from now on, for good. The rule goes on "
                "watching: any other value is an alert again."
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


def signed_in() -> str:
    """Return the user whom the proxy authenticated; empty: there is no proxy, and a person says who they are."""
    header = st.context.headers.get(USER_HEADER.decode(), "")
    return header.encode("latin-1", "replace").decode("utf-8", "replace")


def _seen(detail: AlertDetail) -> str:
    """A digest of what a decision would be about: all of what is shown that a decision enters, or that it answers.

    Not of all that is shown: an alert that fires every second could not be closed, and each new evidence would cost the
    session a set of buttons.
    """
    one = detail.alert
    accepts = detail.rule.accepts if detail.rule is not None else ()
    told = {name: one.evidence.get(name) for name in (*IDENTITY, *accepts, *changed.names_of(one.evidence))}
    newest = detail.decisions[0].entry_id if detail.decisions else 0
    text = json.dumps([one.id, one.episode, newest, accepts, told], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _button(kind: str, alert_id: str, seen: str, *, sayable: bool, new: bool) -> None:
    accepts = new and kind == "accept"
    st.form_submit_button(
        "Accept the new one" if accepts else LABELS[kind], key=f"{kind}.{seen}", on_click=_say,
        args=(alert_id, kind, accepts, seen), disabled=not sayable,
        type="primary" if sayable and (accepts or (kind == "acknowledge" and not new)) else "secondary",
    )  # fmt: skip


def _say(alert_id: str, kind: str, for_good: bool, seen: str) -> None:
    """Says it of the alert as it was drawn: of what came meanwhile nothing is said."""
    if (seen, kind) == st.session_state.get(SAID):
        return  # pressed twice, and entered
    by, why = signed_in() or str(st.session_state.get(BY, "")), str(st.session_state.get(f"why.{alert_id}", ""))
    if by.strip():
        said = _entered(alert_id, kind, by, why, for_good=for_good, seen=seen)
    else:
        said = "Say who you are first: every decision is somebody's."
    st.session_state[f"said.{alert_id}"] = (time.time() + SAID_S, said)


def _entered(alert_id: str, kind: str, by: str, why: str, *, for_good: bool, seen: str) -> str:
    """What the store makes of it, in words."""
    seconds = SPANS_S[st.session_state[f"span.{alert_id}"]] if kind in WITH_END and not for_good else 0
    until_ns = time.time_ns() + seconds * 10**9 if seconds else 0
    try:
        now = reads.alert_now(alert_id)
        if now is None or _seen(now) != seen:
            reads.look_again()
            return "Nothing was entered: it changed meanwhile, look again."
        number = reads.decide(
            alert_id, kind, by, why, until_ns=until_ns, evidence=now.alert.evidence, episode=now.alert.episode
        )
    except StoreFull as error:
        return f"Nothing was entered: {error.strerror}"
    except (UnknownAlert, ValueError) as error:
        return f"Nothing was entered: {error}"
    except StoreUnavailable as error:  # perhaps while it was being entered
        return f"It may not have been entered, look again: {error}"
    except SQLAlchemyError:
        return "It may not have been entered, look again: the store could not do it."
    st.session_state[f"why.{alert_id}"] = ""
    st.session_state[SAID] = (seen, kind)
    return f"{kind}: entered as number {number}, by {by}."
