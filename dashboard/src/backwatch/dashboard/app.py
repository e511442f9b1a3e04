"""The script that Streamlit runs: which pages there are."""

from pathlib import Path

import streamlit as st

from backwatch.dashboard.pages import alert, alerts, overview, parts, resources

st.set_page_config(page_title="Backwatch", layout="wide", page_icon=str(Path(__file__).with_name("icon.png")))
pages = {
    "overview": st.Page(overview.show, title="Overview", url_path="overview", default=True),
    "alerts": st.Page(alerts.show, title="Alerts", url_path="alerts"),
    "resources": st.Page(resources.show, title="Resources", url_path="resources"),
    "alert": st.Page(alert.show, title="Alert", url_path="alert", visibility="hidden"),
}
st.session_state["pages"] = pages
with parts.store_may_be_away():
    st.navigation(list(pages.values()), position="top").run()
