"""What changed: a fact of an alert beside what it was before."""

import re
import textwrap
from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from backwatch.collector import names
from backwatch.dashboard import safe, words
from backwatch.dashboard.facts import in_reading_order
from backwatch.store.views import AlertDetail

WAS: Final = ".was"
"""Ends the name of what a fact was, as detectors write it beside the fact."""
CALLED: Final = {
    names.CERT_SHA256: "certificate, SHA-256", names.CERT_ISSUER: "issued by", names.CERT_SUBJECT: "issued to",
    names.CERT_NOT_BEFORE: "valid from", names.CERT_NOT_AFTER: "valid until", names.PEER_ADDRESS: "address",
    names.SERVER_VERSION: "server's version", names.SERVER_ID: "server's identity", names.AUTH_METHOD: "login by",
    names.REDIRECT_TARGET: "leads to", names.TOPOLOGY: "nodes", names.TLS_ESTABLISHED: "encrypted",
    names.TLS_VERSION: "TLS version", names.TLS_VERIFIED: "verified", names.MESSAGE_FORMS: "forms of messages",
}  # fmt: skip
TALL_PX: Final = 76
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{64}")
LONG: Final = 34
"""Characters from which on a value needs a second line."""


def pairs(evidence: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Facts that are told with what they were: name to (was, is), in the order of reading."""
    found = [name for name in evidence if f"{name}{WAS}" in evidence]
    return {
        name: (safe.plain(evidence[f"{name}{WAS}"]), safe.plain(evidence[name])) for name in in_reading_order(found)
    }


def names_of(evidence: Mapping[str, Any]) -> list[str]:
    """Names in the evidence that :func:`show` shows."""
    return [name for fact in pairs(evidence) for name in (fact, f"{fact}{WAS}")]


def show(evidence: Mapping[str, Any]) -> None:
    """The pairs as a small table; nothing where there are none."""
    found = pairs(evidence)
    if not found:
        return
    text = st.column_config.TextColumn
    long = any(len(one) > LONG for pair in found.values() for one in pair)
    safe.table(
        [
            {"what": CALLED.get(name, name), "was": _grouped(was), "is": _grouped(now)}
            for name, (was, now) in found.items()
        ],
        key="alert.changed", row_height=TALL_PX if long else None, height="content",
        column_config={"what": text(width=150), "was": text(width=255), "is": text(width=255)},
    )  # fmt: skip


def others(detail: AlertDetail) -> list[tuple[str, str, int]]:
    """What the present episode showed besides what its newest occurrence shows: (fact, value, first seen)."""
    accepts = detail.rule.accepts if detail.rule is not None else ()
    found: dict[tuple[str, str], int] = {}
    for one in reversed(detail.occurrences):
        for name in accepts if one.episode == detail.alert.episode else ():
            if one.evidence.get(name) not in (None, detail.alert.evidence.get(name)):
                found.setdefault((name, safe.plain(one.evidence[name])), one.time_ns)
    return [(name, value, first_ns) for (name, value), first_ns in found.items()]


def show_others(detail: AlertDetail) -> None:
    """What the episode showed besides, as a small table; nothing where there is nothing."""
    found = others(detail)
    if not found:
        return
    st.caption("This episode showed others as well. Accepting what is shown above does not accept these.")
    text = st.column_config.TextColumn
    safe.table(
        [
            {"what": CALLED.get(name, name), "was shown too": _grouped(value), "first, UTC": words.moment(first_ns)}
            for name, value, first_ns in found
        ],
        key="alert.others", row_height=TALL_PX if any(len(value) > LONG for _, value, _ in found) else None,
        height="content", column_config={"what": text(width=150), "was shown too": text(width=340)},
    )  # fmt: skip


def _grouped(value: str) -> str:
    """A fingerprint in groups, which can be compared and break into lines."""
    return " ".join(textwrap.wrap(value, 8)) if _FINGERPRINT.fullmatch(value) else value
