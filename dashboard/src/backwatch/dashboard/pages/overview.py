"""Overview: what is open, what is new, and whether Backwatch itself does its work."""

import time
from collections.abc import Mapping
from typing import Final

import streamlit as st

from backwatch.dashboard import charts, reads, safe, words
from backwatch.dashboard.pages import parts
from backwatch.store.views import AlertFilter, AlertRow, Health

HOURS: Final = 48
SHOWN: Final = 12
LOSS: Final = "telemetry-loss"
"""The rule whose alerts say what was lost; an alert's key is the kind of loss."""
DELIVERY: Final = "delivery."
"""Begins the kinds of loss of what was judged and is shown here: only a receiver of webhooks did not hear of it."""
LOSSES: Final = 100
"""Alerts about losses that are looked through: there is one for each app and kind."""


@parts.live
def show() -> None:
    """The page."""
    st.title("Overview", anchor=False)
    counts, health = reads.overview(), reads.health()
    unseen = {name: many for name, many in health.losses.items() if not name.startswith(DELIVERY)}
    if unseen and _something_was_not_seen():
        _losses(unseen)
    _levels(counts)
    left, right = parts.sides(3, 2)
    with left:
        st.subheader("Alerts opened by hour, UTC", anchor=False)
        hour_ns = time.time_ns() // reads.HOUR_NS * reads.HOUR_NS
        charts.openings(reads.openings(hour_ns, HOURS), hour_ns, HOURS)
    with right:
        st.subheader("Backwatch itself", anchor=False)
        _health(health)
        _gone(health)
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
    behind = max((now_ns - one.watermark_ns for one in found.shards if one.watermark_ns), default=0)
    not_told = sum(many for name, many in found.losses.items() if name.startswith(DELIVERY))
    not_seen = sum(found.losses.values()) - not_told
    failing, disabled = sum(one.failing for one in found.endpoints), any(one.disabled_ns for one in found.endpoints)
    rows = [
        ("calls judged", words.count(found.counters.get("calls", 0))),
        ("spans read", words.count(found.counters.get("spans", 0))),
        *_progress(found, now_ns),
        ("event time behind", f"{words.count(behind // 10**9)} s" if behind else "no calls yet"),
        ("lost on the way", words.count(not_seen) if not_seen else "nothing"),
        ("unreadable records", words.count(found.quarantined) if found.quarantined else "none"),
        ("deliveries failing", words.count(failing) if failing else "endpoint disabled" if disabled else "none"),
        ("deliveries lost", words.count(not_told) if not_told else "none"),
    ]
    safe.pairs(rows, ("what", "now"), key="overview.health", widths=(165, 140))


def _progress(found: Health, now_ns: int) -> list[tuple[str, str]]:
    """The worst partition, never the best: what is not read there is not judged."""
    if not found.progress:  # of a detector of an older version
        return [("oldest commit", words.ago(min((one.updated_ns for one in found.shards), default=0), now_ns))]
    worst = max(found.progress, key=lambda one: (one.lag, -one.updated_ns))
    slow = [("slowest partition", f"{worst.partition_id}, advanced {words.ago(worst.advanced_ns, now_ns)}")]
    return [
        ("records to read", words.count(sum(one.lag for one in found.progress))),
        *(slow if worst.lag else ()),
        ("oldest report", words.ago(min(one.updated_ns for one in found.progress), now_ns)),
    ]


def _gone(found: Health) -> None:
    """The endpoints that are disabled, and why; nothing where there is none."""
    rows = [
        {"endpoint disabled": one.name, "reason": one.reason, "since, UTC": words.moment(one.disabled_ns)}
        for one in found.endpoints
        if one.disabled_ns
    ]
    if rows:
        st.caption("Nothing is delivered there. Mend the receiver, then run `backwatch notify --test`.")
        safe.table(rows, key="overview.disabled", height="content")


def _something_was_not_seen() -> bool:
    """Whether an alert says so that nobody has closed or muted and that has not cleared: counts alone stay for ever."""
    found = AlertFilter(states=("open", "acknowledged"), rules=(LOSS,))
    return any(not one.key.startswith(DELIVERY) for one in reads.alerts(found, limit=LOSSES).rows)


def _losses(unseen: Mapping[str, int]) -> None:
    st.warning("Something was lost on the way: what is shown here may be incomplete.")
    safe.pairs(
        [(name, words.count(many)) for name, many in unseen.items() if many],
        ("lost", "how many"),
        key="overview.losses",
        widths=(300, 100),
    )
