"""Overview page: open alerts, new alerts, and the health of Backwatch itself."""

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
"""The rule for losses; an alert's key is the kind of loss."""
DELIVERY: Final = "delivery."
"""Prefix of losses of deliveries: their alerts were judged and are shown here."""
CHECKED_LOSS_ALERTS: Final = 100
"""Alerts about losses that are checked: there is one for each app and kind."""


@parts.live
def show() -> None:
    """Draw the page."""
    st.title("Overview", anchor=False)
    counts, health = reads.overview(), reads.health()
    losses = {name: many for name, many in health.losses.items() if not name.startswith(DELIVERY)}
    if losses and _has_open_losses():
        _losses(losses)
    _levels(counts)
    left, right = parts.sides(3, 2)
    with left:
        st.subheader("Alerts opened by hour, UTC", anchor=False)
        hour_ns = time.time_ns() // reads.HOUR_NS * reads.HOUR_NS
        charts.openings(reads.openings(hour_ns, HOURS), hour_ns, HOURS)
    with right:
        st.subheader("Backwatch itself", anchor=False)
        _health(health)
        _disabled_endpoints(health)
    st.subheader("Open alerts, gravest first", anchor=False)
    rows = _gravest(counts["open"])
    if rows:
        parts.alert_table(rows, "overview.alerts", states=False)
    elif any(sum(many.values()) for many in counts.values()) or health.counters.get("calls"):
        st.caption("Nothing is open.")
    else:
        parts.show_first_step()


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
    behind = max((now_ns - shard.watermark_ns for shard in found.shards if shard.watermark_ns), default=0)
    undelivered = sum(many for name, many in found.losses.items() if name.startswith(DELIVERY))
    lost = sum(found.losses.values()) - undelivered
    failing, disabled = (
        sum(endpoint.failing for endpoint in found.endpoints),
        any(endpoint.disabled_ns for endpoint in found.endpoints),
    )
    rows = [
        ("calls judged", words.count(found.counters.get("calls", 0))),
        ("spans read", words.count(found.counters.get("spans", 0))),
        *_progress(found, now_ns),
        ("event time behind", f"{words.count(behind // 10**9)} s" if behind else "no calls yet"),
        ("records lost", words.count(lost) if lost else "nothing"),
        ("unreadable records", words.count(found.quarantined) if found.quarantined else "none"),
        ("deliveries failing", words.count(failing) if failing else "endpoint disabled" if disabled else "none"),
        ("deliveries lost", words.count(undelivered) if undelivered else "none"),
    ]
    safe.pairs(rows, ("what", "now"), key="overview.health", widths=(165, 140))


def _progress(found: Health, now_ns: int) -> list[tuple[str, str]]:
    """Return rows about the worst partition: unread records are not judged."""
    if not found.progress:  # of a detector of an older version
        return [("oldest commit", words.ago(min((shard.updated_ns for shard in found.shards), default=0), now_ns))]
    worst = max(found.progress, key=lambda partition: (partition.lag, -partition.updated_ns))
    slow = [("slowest partition", f"{worst.partition_id}, advanced {words.ago(worst.advanced_ns, now_ns)}")]
    return [
        ("unread records", words.count(sum(partition.lag for partition in found.progress))),
        *(slow if worst.lag else ()),
        ("oldest report", words.ago(min(partition.updated_ns for partition in found.progress), now_ns)),
    ]


def _disabled_endpoints(found: Health) -> None:
    """Draw the disabled endpoints with their reasons; nothing without any."""
    rows = [
        {
            "endpoint disabled": endpoint.name,
            "reason": endpoint.reason,
            "since, UTC": words.format_moment(endpoint.disabled_ns),
        }
        for endpoint in found.endpoints
        if endpoint.disabled_ns
    ]
    if rows:
        st.caption("Nothing is delivered there. Repair the receiver, then run `backwatch notify --test`.")
        safe.table(rows, key="overview.disabled", height="content")


def _has_open_losses() -> bool:
    """Return whether a loss has an alert that is open: counters alone never decrease."""
    found = AlertFilter(states=("open", "acknowledged"), rules=(LOSS,))
    return any(not alert.key.startswith(DELIVERY) for alert in reads.alerts(found, limit=CHECKED_LOSS_ALERTS).rows)


def _losses(losses: Mapping[str, int]) -> None:
    st.warning("Records were lost: what is shown here may be incomplete.")
    safe.pairs(
        [(name, words.count(many)) for name, many in losses.items() if many],
        ("lost", "count"),
        key="overview.losses",
        widths=(300, 100),
    )
