"""The script that Streamlit runs: which pages there are."""

from pathlib import Path

import streamlit as st

from backwatch.dashboard.pages import alert, alerts, overview, resources

st.set_page_config(page_title="Backwatch", layout="wide", page_icon=str(Path(__file__).with_name("icon.png")))
pages = [
    st.Page(overview.show, title="Overview", url_path="overview", default=True),
    st.Page(alerts.show, title="Alerts", url_path="alerts"),
    st.Page(resources.show, title="Resources", url_path="resources"),
    st.Page(alert.show, title="Alert", url_path="alert", visibility="hidden"),
]
st.session_state["pages"] = {page.url_path or "overview": page for page in pages}
st.navigation(pages, position="top").run()
