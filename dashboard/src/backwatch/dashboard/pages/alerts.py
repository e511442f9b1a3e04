"""Page of all alerts, with filters and cursor in the URL."""

from typing import Final

import streamlit as st

from backwatch.dashboard import reads, safe, words
from backwatch.dashboard.pages import parts
from backwatch.store.views import STATES, AlertFilter, AlertPage

PAGE: Final = 100
ROW_PX: Final = 35
AFTER: Final = "after"
"""Query parameter of the cursor; absent: the newest page."""


@parts.live
def show() -> None:
    """Draw the page."""
    st.title("Alerts", anchor=False)
    with st.container(horizontal=True, vertical_alignment="top", gap="medium"):
        states = st.pills(
            "State", STATES, selection_mode="multi", key="state", bind="query-params", on_change=_to_the_newest,
            width="content",
        )  # fmt: skip
        levels = st.pills(
            "Level", words.LEVELS, selection_mode="multi", key="level", bind="query-params", on_change=_to_the_newest,
            width="content",
        )  # fmt: skip
        app = parts.choose_app(150, _to_the_newest)
        text = st.text_input(
            "Rule, resource or text", key="q", max_chars=200, bind="query-params", on_change=_to_the_newest,
            width=200, placeholder="contains",
        )  # fmt: skip
    resource_id = st.query_params.get("resource", "")
    if resource_id:
        _one_resource(resource_id)
    st.session_state["alerts.query"] = {name: st.query_params.get_all(name) for name in st.query_params}
    _table(
        AlertFilter(
            states=tuple(states or ()), levels=tuple(levels or ()), apps=(app,) if app else (), text=text or "",
            resource_id=resource_id,
        )
    )  # fmt: skip


def _one_resource(resource_id: str) -> None:
    found = reads.resource(resource_id) if safe.is_id(resource_id) else None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Only of this resource:", width="content")
        safe.text(f"{found.system} {found.endpoint} {found.namespace}" if found else "unknown")
        if st.button("Show all resources", on_click=_to_the_newest):
            del st.query_params["resource"]
            st.rerun()


def _to_the_newest() -> None:
    """Drop the cursor: it is valid in one list only."""
    st.query_params.pop(AFTER, None)


def _to_older(older: str) -> None:
    """Continue after the last alert on the screen, not after the last one of a fresh query."""
    st.query_params[AFTER] = older


def _page(filters: AlertFilter) -> AlertPage:
    """Return the page at the query's cursor; the newest one if the cursor is invalid."""
    try:
        return reads.alerts(filters, limit=PAGE, cursor=st.query_params.get(AFTER))
    except ValueError:
        _to_the_newest()
        return reads.alerts(filters, limit=PAGE)


def _table(filters: AlertFilter) -> None:
    page = _page(filters)
    if page.rows:
        parts.alert_table(page.rows, "alerts.table", height=min(len(page.rows) + 1, 21) * ROW_PX + 3)
    elif AFTER in st.query_params:
        st.caption("There are no older alerts.")
    elif filters == AlertFilter():
        st.caption("There is no alert.")
    else:
        st.caption("No alert matches these filters.")
    _turn(page.cursor)


def _turn(older: str | None) -> None:
    """Draw the links to the next and the newest page, if there are several."""
    newest = AFTER not in st.query_params
    if newest and older is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Newest", disabled=newest, on_click=_to_the_newest)
        st.button("Older →", key=f"older.{older}", disabled=older is None, on_click=_to_older, args=(older,))
        st.caption("100 alerts to a page, last seen first.")
