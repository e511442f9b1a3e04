"""Alerts: all of them, filtered; the filters stand in the URL."""

from typing import Final

import streamlit as st

from backwatch.dashboard import reads, safe, words
from backwatch.dashboard.pages import parts
from backwatch.store.views import STATES, AlertFilter

PAGE: Final = 100
ROW_PX: Final = 35


@parts.live
def show() -> None:
    """The page."""
    if "id" in st.query_params:  # the browser's way back from an alert leads here: see parts.go
        parts.go("alerts", **st.session_state.get("alerts.query", {}))
    st.title("Alerts", anchor=False)
    with st.container(horizontal=True, vertical_alignment="top", gap="medium"):
        states = st.pills("State", STATES, selection_mode="multi", key="state", bind="query-params", width="content")
        levels = st.pills(
            "Level", words.LEVELS, selection_mode="multi", key="level", bind="query-params", width="content"
        )
        app = st.selectbox("App", ["", *reads.apps()], key="app", format_func=_app_name, bind="query-params", width=150)
        text = st.text_input(
            "Rule, resource or text", key="q", max_chars=200, bind="query-params", width=200, placeholder="contains"
        )
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
    found = reads.resource(resource_id)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Only of this resource:", width="content")
        safe.text(f"{found.system} {found.endpoint} {found.namespace}" if found else "unknown")
        if st.button("Show all resources"):
            del st.query_params["resource"]
            st.rerun()


def _table(filters: AlertFilter) -> None:
    page = reads.alerts(filters, limit=PAGE)
    if not page.rows:
        if filters == AlertFilter():
            st.caption("There is no alert.")
        else:
            st.caption("No alert matches these filters.")
        return
    parts.alert_table(page.rows, "alerts.table", height=min(len(page.rows) + 1, 21) * ROW_PX + 3)
    if page.cursor:
        st.caption("The newest 100 are shown; narrow the filters to see older ones.")
