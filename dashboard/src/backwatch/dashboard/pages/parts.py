"""What several pages show alike."""

import time
from collections.abc import Sequence

import streamlit as st

from backwatch.collector.settings import DashboardSettings, load
from backwatch.dashboard import reads, safe
from backwatch.store.views import AlertRow

REFRESH_S = load(DashboardSettings).refresh_s
MARK = {"critical": ":red[●]", "high": ":orange[●]", "medium": ":yellow[●]", "low": ":blue[●]", "informational": ":gray[●]"}
"""A level's mark in our own headings."""
STATE = {"open": "● open", "acknowledged": "◐ acknowledged", "closed": "○ closed", "muted": "◌ muted"}


def go(page: str, **query: str) -> None:
    """To another page."""
    st.switch_page(st.session_state["pages"][page], query_params=query)


def title(literal: str) -> None:
    """A page's heading; our own words only."""
    st.header(literal, anchor=False)


def alert_table(rows: Sequence[AlertRow], key: str, *, height: int | str = "auto") -> None:
    """Alerts as a table; choosing a row opens that alert.

    A selection is a position, and rows move: so it is read against the rows that were on the screen when it was made.
    """
    on_screen: list[str] = st.session_state.get(f"{key}.ids", [])
    chosen = (st.session_state.get(key) or {}).get("selection", {}).get("rows", [])
    if chosen and chosen[0] < len(on_screen):
        alert_id = on_screen[chosen[0]]
        st.session_state[f"{key}.ids"] = []
        st.session_state.pop(key, None)
        go("alert", id=alert_id)
    st.session_state[f"{key}.ids"] = [row.id for row in rows]
    now_ns = time.time_ns()
    safe.table(
        [
            {
                "level": f"● {row.level}", "rule": row.rule, "resource": row.resource, "about": row.key,
                "times": row.count, "last seen": safe.ago(row.last_ns, now_ns), "state": STATE.get(row.state, row.state),
                "app": row.app, "episode": row.episode, "id": row.id[:12],
            }
            for row in rows
        ],
        coloured="level", key=key, on_select="rerun", selection_mode="single-row", height=height,
        column_config={
            "level": st.column_config.TextColumn(width=90), "rule": st.column_config.TextColumn(width=150),
            "resource": st.column_config.TextColumn(width=220), "about": st.column_config.TextColumn(width=330),
            "times": st.column_config.NumberColumn(width=60), "last seen": st.column_config.TextColumn(width=90),
            "state": st.column_config.TextColumn(width=110), "app": st.column_config.TextColumn(width=120),
        },
    )  # fmt: skip


def losses() -> None:
    """Whether anything was lost on the way, in one line."""
    found = reads.health()
    lost = sum(found.losses.values())
    if lost or found.quarantined:
        st.warning("Something was lost on the way: what is shown may be incomplete.")
        safe.table([{"what": name, "how many": count} for name, count in found.losses.items()])
