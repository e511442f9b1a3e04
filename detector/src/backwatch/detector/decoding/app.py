"""The app's text, ``namespace/name/environment``: the stream's key, and the head of every key."""

from collections.abc import Mapping
from typing import Final

from backwatch.collector import names

OLDER_ENVIRONMENT: Final = "deployment.environment"


def app_text(attributes: Mapping[str, str]) -> str:
    """The app that these resource attributes name; empty where they name none."""
    environment = attributes.get(names.ENVIRONMENT) or attributes.get(OLDER_ENVIRONMENT, "")
    parts = (attributes.get(names.SERVICE_NAMESPACE, ""), attributes.get(names.SERVICE_NAME, ""), environment)
    return "/".join(part for part in parts if part)
