"""Alerts: all of them, filtered; the filters stand in the URL."""

import streamlit as st

from backwatch.dashboard import reads
from backwatch.dashboard.pages import parts
from backwatch.store.views import STATES, AlertFilter

PAGE = 100


def show() -> None:
    """The page."""
    parts.title("Alerts")
    first, second, third, fourth = st.columns([5, 6, 3, 3], vertical_alignment="bottom")
    with first:
        states = st.pills("State", STATES, selection_mode="multi", key="state", bind="query-params")
    with second:
        levels = st.pills("Level", reads.LEVELS, selection_mode="multi", key="level", bind="query-params")
    with third:
        app = st.selectbox("App", ["", *reads.apps()], key="app", format_func=_app_name, bind="query-params")
    with fourth:
        text = st.text_input("Rule, resource or text", key="q", max_chars=200, bind="query-params")
    resource_id = st.query_params.get("resource", "")
    if resource_id and st.button("Only one resource is shown. Show all"):
        del st.query_params["resource"]
        st.rerun()
    _table(
        AlertFilter(
            states=tuple(states or ()), levels=tuple(levels or ()), apps=(app,) if app else (), text=text or "",
            resource_id=resource_id,
        )
    )  # fmt: skip


def _app_name(app: str) -> str:
    from backwatch.dashboard import safe

    return safe.line(app) or "all"


@st.fragment(run_every=parts.REFRESH_S)
def _table(filters: AlertFilter) -> None:
    page = reads.alerts(filters, limit=PAGE)
    if not page.rows:
        st.caption("No alert matches.")
        return
    parts.alert_table(page.rows, "alerts.table", height=620 if len(page.rows) > 16 else "auto")
    if page.cursor:
        st.caption(f"The newest {PAGE} are shown; narrow the filters to see older ones.")
    parts.losses()
