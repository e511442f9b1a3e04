"""The app's text, ``namespace/name/environment``: the stream's key, and the head of every key."""

from collections.abc import Mapping
from typing import Final

from backwatch.collector.facts import APP, BY_NAME

_APP_NAMES: Final = tuple((name, *BY_NAME[name].older) for name in APP)
"""Names of each fact of an app, best first."""


def app_text(attributes: Mapping[str, str]) -> str:
    """Return the app that these resource attributes name; empty where they name none."""
    parts = (next(filter(None, map(attributes.get, known)), "") for known in _APP_NAMES)
    return "/".join(part for part in parts if part)
