"""Alerts: all of them, filtered; the filters stand in the URL, and so does the place from which on they are shown."""

from typing import Final

import streamlit as st

from backwatch.dashboard import reads, safe, words
from backwatch.dashboard.pages import parts
from backwatch.store.views import STATES, AlertFilter, AlertPage

PAGE: Final = 100
ROW_PX: Final = 35
AFTER: Final = "after"
"""The query's word for the place after which the page begins; absent: at the newest."""


@parts.live
def show() -> None:
    """The page."""
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
        app = st.selectbox(
            "App", ["", *reads.apps()], key="app", format_func=_app_name, bind="query-params",
            on_change=_to_the_newest, width=150,
        )  # fmt: skip
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


def _app_name(app: str) -> str:
    return safe.line(app) or "all"


def _one_resource(resource_id: str) -> None:
    found = reads.resource(resource_id) if safe.is_id(resource_id) else None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Only of this resource:", width="content")
        safe.text(f"{found.system} {found.endpoint} {found.namespace}" if found else "unknown")
        if st.button("Show all resources", on_click=_to_the_newest):
            del st.query_params["resource"]
            st.rerun()


def _to_the_newest() -> None:
    """A place in one list is none in another."""
    st.query_params.pop(AFTER, None)


def _to_older(older: str) -> None:
    """After the last one that is shown, not after the last one of what would be read by now."""
    st.query_params[AFTER] = older


def _page(filters: AlertFilter) -> AlertPage:
    """The page from the place that the query names; from the newest where it names none of ours."""
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
        st.caption("There is none that is older.")
    elif filters == AlertFilter():
        st.caption("There is no alert.")
    else:
        st.caption("No alert matches these filters.")
    _turn(page.cursor)


def _turn(older: str | None) -> None:
    """To where the list goes on, and back to its beginning; nothing where one page holds all."""
    newest = AFTER not in st.query_params
    if newest and older is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Newest", disabled=newest, on_click=_to_the_newest)
        st.button("Older →", key=f"older.{older}", disabled=older is None, on_click=_to_older, args=(older,))
        st.caption("100 alerts to a page, last seen first.")
