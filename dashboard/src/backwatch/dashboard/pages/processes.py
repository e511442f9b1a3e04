"""Processes: which processes of each app are watched, and which of them are missed."""

import time
from collections.abc import Sequence
from typing import Final

import streamlit as st

from backwatch.dashboard import reads, safe, words
from backwatch.dashboard.pages import parts
from backwatch.store.processes import MAX_LISTED, UNFOLLOWED
from backwatch.store.views import ProcessRow

STATES: Final = {
    "running": "○ running", "ended": "○ ended", "gone": "○ ended without a final heartbeat", "replaced": "○ replaced",
    "brief": "○ ended early", "silent": "● silent", "undelivered": "● never delivered",
    "unfollowed": "◌ not followed",
}  # fmt: skip


@parts.live
def show() -> None:
    """Draw the page."""
    st.title("Processes", anchor=False)
    app = parts.choose_app(240)
    rows = reads.processes(app)
    if lost := reads.health().processes.get(UNFOLLOWED, 0):
        st.caption(
            f"{words.count(lost)} of all processes are not followed any more: a shard had no room for them, or their"
            " heartbeats are not read. None of them would be missed."
        )
    if rows:
        _table(rows)
        if len(rows) >= MAX_LISTED:
            st.caption("Only the first processes are shown: missing ones, then those with the latest heartbeats.")
    else:
        st.caption("No process has sent a heartbeat yet.")
    st.caption(
        "A process sends heartbeats from its first call to a watched service on. One that falls silent raises the "
        "alert watch-lost. Times are kept to the minute."
    )


def _table(rows: Sequence[ProcessRow]) -> None:
    now_ns = time.time_ns()
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    safe.table(
        [_row(process, now_ns) for process in rows], key="processes.table", height=min(len(rows) + 1, 20) * 35 + 3,
        column_config={
            "state": text(width=170), "app": text(width=140), "host": text(width=200), "process": text(width=85),
            "since": text(width=95), "last heartbeat": text(width=95), "started, UTC": text(width=150),
            "recorded": number(width=95, format="localized"), "delivered": number(width=95, format="localized"),
            "dropped": number(width=80, format="localized"),
        },
    )  # fmt: skip


def _row(process: ProcessRow, now_ns: int) -> dict[str, object]:
    return {
        "state": STATES.get(process.state, process.state), "app": process.app, "host": process.host,
        "process": str(process.pid),
        "since": words.ago(process.since_ns, now_ns),
        "last heartbeat": words.ago(process.heard_ns, now_ns) if process.heard_ns else "never",
        "started, UTC": words.format_moment(process.started_ns) if process.started_ns else "",
        "recorded": process.recorded,
        "delivered": process.delivered, "dropped": process.dropped,
    }  # fmt: skip
