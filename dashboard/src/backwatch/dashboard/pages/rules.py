"""Page of all rules, gravest first, with their open alerts."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from backwatch.dashboard import reads, safe, words
from backwatch.dashboard.pages import parts
from backwatch.store.rules_meta import RuleMeta

KEY: Final = "rules.table"
ROW_PX: Final = 35


@parts.live
def show() -> None:
    """Draw the page."""
    st.title("Rules", anchor=False)
    name = parts.chosen_rule(KEY)
    if name:
        parts.go("rule", name=name)
    with st.container(horizontal=True, vertical_alignment="top", gap="medium"):
        levels = st.pills(
            "Level", words.LEVELS, selection_mode="multi", key="levels", bind="query-params", width="content"
        )
        text = st.text_input(
            "Rule, title or text", key="text", max_chars=200, bind="query-params", width=240, placeholder="contains"
        )
    rules = reads.rules()
    found = [rule for rule in rules if _matches(rule, levels or (), (text or "").casefold())]
    if not rules:
        st.caption("The detector has not published its rules yet. It does so when it starts.")
    elif not found:
        st.caption("No rule matches these filters.")
    else:
        _table(found)
    st.caption(
        "Put your own rules into a folder and set BACKWATCH_RULES_DIR to it; the detector reads it when it starts."
    )


def _matches(rule: RuleMeta, levels: Sequence[str], text: str) -> bool:
    if levels and rule.level not in levels:
        return False
    texts = (rule.name, rule.title, rule.description, rule.remediation, *rule.how, *rule.tags)
    return not text or any(text in each.casefold() for each in texts)


def _table(found: list[RuleMeta]) -> None:
    many, order = reads.open_by_rule(), {level: place for place, level in enumerate(words.LEVELS)}
    rows = sorted(found, key=lambda rule: (order.get(rule.level, len(order)), rule.name))
    safe.table(
        [
            {"rule": rule.name, "level": f"● {rule.level}", "open": many.get(rule.name, 0), "title": rule.title}
            for rule in rows
            if safe.is_rule(rule.name)
        ],
        coloured="level", key=KEY, height=min(len(rows) + 1, 26) * ROW_PX + 3,
        column_config={
            "rule": parts.button_column(KEY, 210), "level": st.column_config.TextColumn(width=120),
            "title": st.column_config.TextColumn(width=520),
            "open": st.column_config.NumberColumn("open alerts", width=100),
        },
    )  # fmt: skip
