"""Resources: every attached service as each app sees it, and how safe its sessions are."""

import time

import altair as alt
import pandas as pd
import streamlit as st

from backwatch.collector import names
from backwatch.dashboard import reads, safe
from backwatch.dashboard.pages import parts
from backwatch.store.views import ResourceRow


def show() -> None:
    """The page."""
    parts.title("Resources")
    app = st.selectbox("App", ["", *reads.apps()], key="app", format_func=lambda one: safe.line(one) or "all", bind="query-params")
    _table(app or "")
    chosen = st.query_params.get("id", "")
    if chosen:
        _one(chosen)


@st.fragment(run_every=parts.REFRESH_S)
def _table(app: str) -> None:
    key = "resources.table"
    on_screen: list[str] = st.session_state.get(f"{key}.ids", [])
    chosen = (st.session_state.get(key) or {}).get("selection", {}).get("rows", [])
    if chosen and chosen[0] < len(on_screen) and st.query_params.get("id") != on_screen[chosen[0]]:
        st.query_params["id"] = on_screen[chosen[0]]
        st.rerun()
    rows = reads.resources(app)
    if not rows:
        st.caption("No resource yet. Run an app under watch with: backwatch run -- python app.py")
        return
    st.session_state[f"{key}.ids"] = [row.id for row in rows]
    now_ns = time.time_ns()
    safe.table([_row(one, now_ns) for one in rows], coloured="worst", key=key, on_select="rerun", selection_mode="single-row")


def _row(one: ResourceRow, now_ns: int) -> dict[str, object]:
    return {
        "worst": f"● {one.worst}" if one.alerts else "○ none", "app": one.app, "system": one.system,
        "endpoint": one.endpoint, "namespace": one.namespace, "session": _session(one),
        "account": one.facts.get(names.ACCOUNT, ""), "server": one.facts.get(names.SERVER_VERSION, ""),
        "calls": one.calls, "errors": one.errors, "open alerts": one.alerts, "last seen": safe.ago(one.last_ns, now_ns),
    }  # fmt: skip


def _session(one: ResourceRow) -> str:
    """How safe the newest session was, in a word: what is not told is unknown, never guessed."""
    encrypted = one.facts.get(names.TLS_ESTABLISHED)
    if one.facts.get(names.TRANSPORT) in ("inproc", "unix"):
        return "local"
    if encrypted is None:
        return "unknown"
    if not encrypted:
        return "plaintext"
    verified = {"full": "verified", "chain": "chain only", "none": "not verified"}
    told = str(one.facts.get(names.TLS_VERIFIED, ""))
    return f"TLS {one.facts.get(names.TLS_VERSION, '')} {verified.get(told, 'verification unknown')}"


def _one(resource_id: str) -> None:
    found = reads.resource(resource_id)
    if found is None:
        return
    left, right = st.columns([2, 3], gap="medium")
    with left:
        st.subheader("Facts of the newest session", anchor=False)
        safe.evidence(found.facts)
        if st.button("Its alerts"):
            parts.go("alerts", resource=found.id)
    with right:
        st.subheader("Bytes a minute", anchor=False)
        windows = reads.volume(resource_id)
        frame = pd.DataFrame(
            [
                {"time": safe.when(one.end_ns), "direction": word, "bytes": many}
                for one in windows
                for word, many in (("received", one.bytes_received), ("sent", one.bytes_sent))
            ],
            columns=["time", "direction", "bytes"],
        )
        chart = alt.Chart(frame).mark_line().encode(x=alt.X("time:T", title=None), y=alt.Y("bytes:Q", title=None), color="direction:N")
        st.altair_chart(chart.properties(height=260), width="stretch")
