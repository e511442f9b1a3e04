"""Overview: what is open, what is new, and whether Backwatch itself does its work."""

import time
from typing import Final

import streamlit as st

from backwatch.dashboard import charts, reads, safe, words
from backwatch.dashboard.pages import parts
from backwatch.store.views import AlertFilter, AlertRow, Health

HOURS: Final = 48
SHOWN: Final = 12


@parts.live
def show() -> None:
    """The page."""
    if "id" in st.query_params:  # the way back from an alert: see parts.go
        del st.query_params["id"]
    st.title("Overview", anchor=False)
    counts, health = reads.overview(), reads.health()
    if health.losses or health.quarantined:
        _losses(health)
    _levels(counts)
    left, right = parts.sides(3, 2)
    with left:
        st.subheader("Alerts opened by hour, UTC", anchor=False)
        charts.openings(reads.openings(HOURS), HOURS, time.time_ns())
    with right:
        st.subheader("Backwatch itself", anchor=False)
        _health(health)
    st.subheader("Open alerts, gravest first", anchor=False)
    rows = _gravest(counts["open"])
    if rows:
        parts.alert_table(rows, "overview.alerts", states=False)
    elif any(sum(many.values()) for many in counts.values()) or health.counters.get("calls"):
        st.caption("Nothing is open.")
    else:
        parts.nothing_yet()


def _levels(counts: dict[str, dict[str, int]]) -> None:
    with st.container(key="levels"):
        columns = st.columns(len(words.LEVELS))
    for column, level in zip(columns, words.LEVELS, strict=True):
        many, waiting = counts["open"][level], counts["acknowledged"][level]
        with column, st.container(border=True, gap="xxsmall", height="stretch"):
            st.page_link(
                st.session_state["pages"]["alerts"], label=f"{words.mark(level)} {words.level(level)}",
                query_params=[("level", level), ("state", "open"), ("state", "acknowledged")],
            )  # fmt: skip
            st.metric("open", words.count(many), label_visibility="collapsed")
            st.caption(f"open, {words.count(waiting)} acknowledged" if waiting else "open")


def _gravest(many: dict[str, int]) -> list[AlertRow]:
    rows: list[AlertRow] = []
    for level in words.LEVELS:
        if many[level] and len(rows) < SHOWN:
            rows += reads.alerts(AlertFilter(states=("open",), levels=(level,)), limit=SHOWN - len(rows)).rows
    return rows


def _health(found: Health) -> None:
    now_ns = time.time_ns()
    moved = max((one.updated_ns for one in found.shards), default=0)
    behind = max((now_ns - one.watermark_ns for one in found.shards if one.watermark_ns), default=0)
    lost, failing = sum(found.losses.values()), sum(one.failing for one in found.endpoints)
    rows = [
        ("calls judged", words.count(found.counters.get("calls", 0))),
        ("spans read", words.count(found.counters.get("spans", 0))),
        ("last commit", words.ago(moved, now_ns)),
        ("event time behind", f"{words.count(behind // 10**9)} s" if behind else "no calls yet"),
        ("lost on the way", words.count(lost) if lost else "nothing"),
        ("unreadable records", words.count(found.quarantined) if found.quarantined else "none"),
        ("deliveries failing", words.count(failing) if failing else "none"),
    ]
    safe.pairs(rows, ("what", "now"), key="overview.health", widths=(165, 120))


def _losses(found: Health) -> None:
    st.warning("Something was lost on the way: what is shown here may be incomplete.")
    rows = [*found.losses.items(), ("unreadable records", found.quarantined)]
    safe.pairs(
        [(name, words.count(many)) for name, many in rows if many],
        ("lost", "how many"),
        key="overview.losses",
        widths=(300, 100),
    )
