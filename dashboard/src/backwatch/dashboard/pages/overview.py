"""Overview: what is open, what is new, and whether Backwatch itself does its work."""

import time

import altair as alt
import pandas as pd
import streamlit as st

from backwatch.dashboard import reads, safe
from backwatch.dashboard.pages import parts
from backwatch.store.views import AlertFilter

HOURS = 48


def show() -> None:
    """The page."""
    parts.title("Overview")
    _live()


@st.fragment(run_every=parts.REFRESH_S)
def _live() -> None:
    counts = reads.overview()
    levels = st.columns(len(reads.LEVELS))
    for column, level in zip(levels, reads.LEVELS, strict=True):
        waiting = counts["acknowledged"][level]
        column.metric(
            f"{parts.MARK[level]} {level}", counts["open"][level], f"{waiting} acknowledged" if waiting else None,
            delta_color="off", border=True,
        )  # fmt: skip
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.subheader("Alerts opened, by hour", anchor=False)
        _openings()
    with right:
        st.subheader("Backwatch itself", anchor=False)
        _health()
    st.subheader("Open alerts, last seen first", anchor=False)
    rows = reads.alerts(AlertFilter(states=("open",)), limit=12).rows
    if rows:
        parts.alert_table(rows, "overview.alerts")
    else:
        st.caption("Nothing is open. Run an app under watch with: backwatch run -- python app.py")


def _openings() -> None:
    hour = 3_600 * 10**9
    now = time.time_ns() // hour * hour
    found = [{"hour": safe.when(start), "level": level, "alerts": many} for start, level, many in reads.openings(HOURS)]
    edges = [safe.when(now - HOURS * hour), safe.when(now + hour)]
    frame = pd.DataFrame(found, columns=["hour", "level", "alerts"])
    chart = (
        alt.Chart(frame)
        .mark_bar(size=9)
        .encode(
            x=alt.X("hour:T", title=None, scale=alt.Scale(domain=[edge.isoformat() for edge in edges if edge])),
            y=alt.Y("alerts:Q", title=None, axis=alt.Axis(tickMinStep=1)),
            color=alt.Color(
                "level:N", scale=alt.Scale(domain=list(safe.COLOURS), range=list(safe.COLOURS.values())), legend=None
            ),
            tooltip=["hour:T", "level:N", "alerts:Q"],
        )
        .properties(height=230)
    )
    st.altair_chart(chart, width="stretch")


def _health() -> None:
    found = reads.health()
    now_ns = time.time_ns()
    moved = max((one.updated_ns for one in found.shards), default=0)
    behind = max((now_ns - one.watermark_ns for one in found.shards if one.watermark_ns), default=0)
    lost = sum(found.losses.values())
    rows = [
        {"what": "calls judged", "now": f"{found.counters.get('calls', 0):,}"},
        {"what": "spans read", "now": f"{found.counters.get('spans', 0):,}"},
        {"what": "last commit", "now": safe.ago(moved, now_ns)},
        {"what": "event time behind", "now": f"{behind // 10**9:,} s" if behind else "no calls yet"},
        {"what": "lost", "now": f"{lost:,}" if lost else "nothing"},
        {"what": "quarantined records", "now": f"{found.quarantined:,}"},
        {"what": "deliveries failing", "now": f"{sum(one.failing for one in found.endpoints):,}"},
    ]
    safe.table(rows, key="overview.health")
