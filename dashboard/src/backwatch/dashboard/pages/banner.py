"""The banner on top of every page while Backwatch itself does not work: no new alert is no good news then."""

from typing import Final

import streamlit as st

from backwatch.dashboard import reads, safe

MAX_SHOWN: Final = 3


def show() -> None:
    """Draw the banner, or nothing where detector, router and notify work."""
    wrong = reads.incidents()
    if not wrong:
        return
    with st.container(key="banner", border=True, gap="xxsmall"):
        for incident in wrong[:MAX_SHOWN]:
            safe.text(incident.message)
            if incident.reason:
                safe.text(f"Reason: {safe.line(incident.reason)}")
        if len(wrong) > MAX_SHOWN:
            safe.text(f"And {len(wrong) - MAX_SHOWN} more: run backwatch db status.")
