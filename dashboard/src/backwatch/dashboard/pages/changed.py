"""Changed facts of an alert, old value beside new value."""

import re
import textwrap
from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from backwatch.collector import names
from backwatch.collector.facts import in_reading_order, label_of
from backwatch.dashboard import safe, words
from backwatch.store.views import AlertDetail

WAS: Final = ".was"
"""Ends the name of what a fact was, as detectors write it beside the fact."""
TALL_PX: Final = 76
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{64}")
LONG: Final = 34
"""Characters from which on a value needs a second line."""
WHOLE: Final = 80
"""Characters from which on a value may not fit into its cell, and stands below the table as a whole."""
LISTS: Final = frozenset({names.TOPOLOGY})
"""Facts that name several things between commas: what is new among them is shown one to a row."""
EVIDENCE: Final = 512
"""Characters of a text of which evidence has no more."""
CUT: Final = "…"
"""Ends what a fact was, and what it is, where not all of it was kept."""


def pairs(evidence: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return facts with an old value: name to (was, is), in reading order."""
    found = [name for name in evidence if f"{name}{WAS}" in evidence]
    return {
        name: (safe.plain(evidence[f"{name}{WAS}"]), safe.plain(evidence[name])) for name in in_reading_order(found)
    }


def names_of(evidence: Mapping[str, Any]) -> list[str]:
    """Return the names in the evidence that :func:`show` draws."""
    return [name for fact in pairs(evidence) for name in (fact, f"{fact}{WAS}")]


def cut(detail: AlertDetail) -> bool:
    """Return whether a value is not shown as a whole, and so must not be accepted.

    Of a truncated list, the rest is shown and can be accepted: members beyond it raise the alert again.
    """
    evidence = detail.alert.evidence
    return any(
        len(value) > safe.LONGEST or (name not in LISTS and _is_cut(value))
        for name in _list_accepted(detail)
        if isinstance(value := evidence.get(name), str)
    )


def new_in(was: str, now: str) -> list[str]:
    """Return the members that a list did not have before, compared as the detector does.

    >>> new_in("a:1, B:1", "b:1,c:1,a:1")
    ['c:1']
    """
    known = {member.lower() for member in _members(was)}
    return [member for member in _members(now) if member.lower() not in known]


def show(detail: AlertDetail) -> None:
    """Draw the pairs as a table, lists below it, and long values as a whole; nothing without pairs."""
    found = pairs(detail.alert.evidence)
    text = st.column_config.TextColumn
    rows = [
        {"what": label_of(name), "was": _group_digits(was), "is": _group_digits(now)}
        for name, (was, now) in found.items()
        if name not in LISTS
    ]
    if rows:
        long = any(_room(cell) > LONG for row in rows for cell in row.values())
        safe.table(
            rows, key="alert.changed", row_height=TALL_PX if long else None, height="content", longest=safe.LONGEST,
            column_config={"what": text(width=150), "was": text(width=255), "is": text(width=255)},
        )  # fmt: skip
    for name, (was, now) in found.items():
        if name in LISTS:
            safe.pairs(_members_then_and_now(was, now), ("is it new", label_of(name)),
                       key=f"alert.list.{list(found).index(name)}", widths=(150, 510))  # fmt: skip
            if was.endswith(CUT):
                st.caption("Only the beginning of the old list is kept: members that may be new may have been in it.")
    if any(name in LISTS and _is_cut(str(detail.alert.evidence.get(name, ""))) for name in _list_accepted(detail)):
        st.caption(
            "The evidence has the beginning of this list. Further members are not accepted: they raise the alert again."
        )
    for name, whole in _wholes(detail, found):
        safe.code(f"{label_of(name)}\n{whole}")


def _members_then_and_now(was: str, now: str) -> list[tuple[str, str]]:
    """Return (state, member) for each member of a list: new ones first, removed ones last."""
    new, gone = new_in(was, now), new_in(now, was)
    rows = [("may be new" if was.endswith(CUT) else "new", member) for member in new]
    rows += [("was there", member) for member in _members(now) if member not in new]
    return rows + [("was, cut" if member.endswith(CUT) else "gone", member) for member in gone]


def _wholes(detail: AlertDetail, found: Mapping[str, tuple[str, str]]) -> list[tuple[str, str]]:
    """Return values to accept or compare that are longer than a cell."""
    wholes: list[tuple[str, str]] = []
    for name in _list_accepted(detail):
        value = detail.alert.evidence.get(name)
        if not isinstance(value, str):
            continue
        shown = [value]
        if name in LISTS:
            shown = new_in(found[name][0], value) if name in found else _members(value)
        if any(_room(text) > WHOLE for text in shown) or (name not in found and _room(value) > WHOLE):
            wholes.append((name, "\n".join(safe.line(text, safe.LONGEST) for text in shown)))
    return wholes


def _list_accepted(detail: AlertDetail) -> list[str]:
    """Return the facts that an acceptance covers, and those with an old value."""
    evidence = detail.alert.evidence
    accepts = detail.rule.accepts if detail.rule is not None else ()
    return [name for name in dict.fromkeys((*pairs(evidence), *accepts)) if name in evidence]


def _is_cut(value: str) -> bool:
    """Return whether detector or store may have truncated the value."""
    return len(value) >= EVIDENCE or value.endswith(CUT)


def _room(text: str) -> int:
    """Return the width of the escaped text in ASCII letters, at most."""
    return sum(1 if character.isascii() else 2 for character in safe.line(text, safe.LONGEST))


def _members(text: str) -> list[str]:
    return [member.strip() for member in text.split(",") if member.strip()]


def others(detail: AlertDetail) -> list[tuple[str, str, int]]:
    """Return further values of the present episode: (fact, value, first seen)."""
    accepts = detail.rule.accepts if detail.rule is not None else ()
    found: dict[tuple[str, str], int] = {}
    for occurrence in reversed(detail.occurrences):
        for name in accepts if occurrence.episode == detail.alert.episode else ():
            value, now = occurrence.evidence.get(name), detail.alert.evidence.get(name)
            if value in (None, now):
                continue
            listed = name in LISTS and isinstance(value, str)
            for member in new_in(str(now or ""), value) if listed else [safe.plain(value)]:
                found.setdefault((name, member), occurrence.time_ns)
    return [(name, value, first_ns) for (name, value), first_ns in found.items()]


def show_others(detail: AlertDetail) -> None:
    """Draw further values of the episode as a table; nothing without any."""
    found = others(detail)
    if not found:
        return
    st.caption("This episode showed other values as well. Accepting the one above does not accept these.")
    text, long = st.column_config.TextColumn, any(_room(value) > LONG for _, value, _ in found)
    safe.table(
        [
            {
                "what": label_of(name), "was shown too": _group_digits(value),
                "first, UTC": words.format_moment(first_ns),
            }
            for name, value, first_ns in found
        ],
        key="alert.others", longest=safe.LONGEST, row_height=TALL_PX if long else None, height="content",
        column_config={"what": text(width=150), "was shown too": text(width=340)},
    )  # fmt: skip


def _group_digits(value: str) -> str:
    """Return a fingerprint in groups, which are comparable and wrap."""
    return " ".join(textwrap.wrap(value, 8)) if _FINGERPRINT.fullmatch(value) else value
