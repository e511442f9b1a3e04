"""The script that Streamlit runs: the list of pages.

It is in the folder of the pages and not above it: Streamlit takes each file of a folder ``pages`` beside its script
for a page of its own, and shows it for a link into a server that was not opened at ``/`` before.
"""

from pathlib import Path

import streamlit as st

from backwatch.dashboard.pages import alert, alerts, overview, parts, processes, resources, rule, rules

st.set_page_config(page_title="Backwatch", layout="wide", page_icon=str(Path(__file__).parents[1] / "icon.png"))
pages = {
    "overview": st.Page(overview.show, title="Overview", url_path="overview", default=True),
    "alerts": st.Page(alerts.show, title="Alerts", url_path="alerts"),
    "resources": st.Page(resources.show, title="Resources", url_path="resources"),
    "processes": st.Page(processes.show, title="Processes", url_path="processes"),
    "rules": st.Page(rules.show, title="Rules", url_path="rules"),
    "rule": st.Page(rule.show, title="Rule", url_path="rule", visibility="hidden"),
    "alert": st.Page(alert.show, title="Alert", url_path="alert", visibility="hidden"),
}
st.session_state["pages"] = pages
with parts.report_store_errors():
    st.navigation(list(pages.values()), position="top").run()
