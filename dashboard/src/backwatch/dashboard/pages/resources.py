"""Page of all resources, with the security of their sessions."""

import time
from collections.abc import Sequence
from typing import Final

import streamlit as st

from backwatch.collector import names
from backwatch.dashboard import charts, reads, safe, words
from backwatch.dashboard.pages import parts
from backwatch.store.views import ResourceRow

KEY: Final = "resources.table"
VERIFIED: Final = {"full": "verified", "chain": "chain only", "none": "not verified"}


@parts.live
def show() -> None:
    """Draw the page."""
    st.title("Resources", anchor=False)
    app = parts.choose_app(240)
    pressed = parts.get_chosen_id(KEY)
    if pressed:
        st.query_params["id"] = pressed
    rows = reads.resources(app)
    if not rows and app:
        st.caption("This app has no resource.")
        return
    if not rows:
        parts.show_first_step()
        return
    _table(rows)
    chosen = st.query_params.get("id", "")
    found = reads.resource(chosen) if safe.is_id(chosen) else None
    if found is None:
        st.caption("Select a resource's id to see its session and volume.")
    else:
        _one(found)


def _table(rows: Sequence[ResourceRow]) -> None:
    now_ns = time.time_ns()
    text = st.column_config.TextColumn
    safe.table(
        [_row(resource, now_ns) for resource in rows], coloured="worst open", key=KEY,
        height=min(len(rows) + 1, 15) * 35 + 3,
        column_config={
            "resource": parts.id_column(KEY), "worst open": text(width=115),
            "system": text(width=100), "endpoint": text(width=230),
            "session": text(width=150), "account": text(width=130), "app": text(width=110),
            "calls": st.column_config.NumberColumn(width=90, format="localized"),
            "errors": st.column_config.NumberColumn(width=65, format="localized"),
            "open": st.column_config.NumberColumn(width=55), "last seen": text(width=95),
        },
    )  # fmt: skip


def _row(resource: ResourceRow, now_ns: int) -> dict[str, object]:
    return {
        "resource": parts.id_label(resource.id),
        "worst open": f"● {resource.worst}" if resource.alerts else "○ nothing",
        "system": resource.system,
        "endpoint": f"{resource.endpoint}/{resource.namespace}" if resource.namespace else resource.endpoint,
        "session": _session(resource),
        "account": str(resource.facts.get(names.ACCOUNT, "")),
        "app": resource.app, "calls": resource.calls, "errors": resource.errors, "open": resource.alerts,
        "last seen": words.ago(resource.last_ns, now_ns),
    }  # fmt: skip


def _name(resource: ResourceRow) -> str:
    return f"{resource.system} {resource.endpoint}" + (f"/{resource.namespace}" if resource.namespace else "")


def _session(resource: ResourceRow) -> str:
    """Return the security of the newest session in a word; an absent fact is unknown, never guessed."""
    encrypted = resource.facts.get(names.TLS_ESTABLISHED)
    if resource.facts.get(names.TRANSPORT) in ("inproc", "unix"):
        return "local"
    if encrypted is None:
        return "unknown"
    if not encrypted:
        return "plaintext"
    verified = VERIFIED.get(str(resource.facts.get(names.TLS_VERIFIED, "")), "verification unknown")
    return f"TLS {resource.facts.get(names.TLS_VERSION, '')} {verified}"


def _one(found: ResourceRow) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        with st.container(key="heading", width="content"):
            safe.text(safe.line(_name(found), 200))
        st.page_link(st.session_state["pages"]["alerts"], label="Its alerts →", query_params={"resource": found.id})
    left, right = parts.sides(2, 3)
    with left:
        st.subheader("Newest session", anchor=False)
        first, last = words.format_moment(found.first_ns), words.format_moment(found.last_ns)
        rows = [("app", found.app), ("first seen", f"{first} UTC"), ("last seen", f"{last} UTC")]
        safe.pairs(rows, ("what", "value"), key="resource.seen")
        if found.facts:
            safe.evidence(found.facts, key="resource.facts")
        else:
            st.caption("No facts of its session were reported.")
    with right:
        st.subheader("Bytes a minute, UTC", anchor=False)
        _volume(found)


def _volume(found: ResourceRow) -> None:
    windows = reads.volume(found.id, found.last_ns // reads.HOUR_NS * reads.HOUR_NS)
    if windows:
        charts.volume(windows)
    else:
        st.caption("No minute of calls has been closed yet.")
