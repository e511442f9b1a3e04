"""Texts of valid Sigma documents for tests: a rule, a filter, a correlation."""

from typing import Any

import yaml

from backwatch.collector import names

LOGSOURCE = {"product": "opentelemetry", "category": "backing_service_call"}
Document = dict[str, Any]


def rule(name: str = "own-rule", detection: Document | None = None, **own: Any) -> Document:
    """Return a rule, by default on calls of the account ``reporting``."""
    return {
        "title": "A Rule", "id": "00000000-0000-4000-8000-000000000001", "name": name, "level": "low",
        "logsource": LOGSOURCE,
        "detection": detection or {"s": {names.ACCOUNT: "reporting"}, "condition": "s"},
        "backwatch": {"key": "resource", **own},
    }  # fmt: skip


def sigma_filter(rules: Any = ("own-rule",), expires: Any = "2030-01-31", **changed: Any) -> Document:
    """Return a filter, by default one that excludes the database ``test``."""
    return {
        "title": "Our Test Database", "logsource": LOGSOURCE,
        "filter": {
            "rules": list(rules) if isinstance(rules, tuple) else rules,
            "selection": {names.DB_NAMESPACE: "test"}, "condition": "not selection",
        },
        "backwatch": {"reason": "Nothing real is in it.", "expires": expires},
        **changed,
    }  # fmt: skip


def correlation(rules: Any = ("own-rule",), kind: str = "event_count", **changed: Any) -> Document:
    """Return a correlation, by default of three calls of an account within a minute."""
    own = changed.pop("backwatch", {"key": "resource"})
    block: Document = {
        "type": kind, "rules": list(rules) if isinstance(rules, tuple) else rules, "group-by": [names.ACCOUNT],
        "timespan": "1m", "condition": {"gte": 3},
    }  # fmt: skip
    return {
        "title": "Several", "id": "00000000-0000-4000-8000-000000000002", "name": "together", "level": "high",
        "correlation": {**block, **{key.replace("_", "-"): value for key, value in changed.items()}}, "backwatch": own,
    }  # fmt: skip


def text(*documents: Document) -> str:
    """Return the documents as one file."""
    return yaml.safe_dump_all(documents, sort_keys=False)
