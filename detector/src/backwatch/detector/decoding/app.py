"""The app's text, ``namespace/name/environment``: the stream's key, and the head of every key."""

from collections.abc import Mapping
from typing import Final

from backwatch.collector import names

OLDER_ENVIRONMENT: Final = "deployment.environment"


def app_text(told: Mapping[str, str]) -> str:
    """The app that these resource attributes name; empty where they name none."""
    environment = told.get(names.ENVIRONMENT) or told.get(OLDER_ENVIRONMENT, "")
    parts = (told.get(names.SERVICE_NAMESPACE, ""), told.get(names.SERVICE_NAME, ""), environment)
    return "/".join(part for part in parts if part)
