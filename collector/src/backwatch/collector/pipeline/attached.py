"""The name under which the app attached an endpoint, where it uses ``backwatch.resource``."""

import sys
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.runtime import guard
from backwatch.collector.runtime.record import AttributeValue

MODULE: Final = "backwatch.resource.announcement"
"""Read if the app has loaded it, and never imported: the collector does not need it."""


def find_attached(address: str, port: int) -> dict[str, AttributeValue]:
    """Return the facts of an attached endpoint; none where it was not attached.

    Called once per session, when its scope is encoded.
    """
    module: Any = sys.modules.get(MODULE)
    if module is None:
        return {}
    try:
        attached = module.find_attached(address, port)
        if attached is None:
            return {}
        facts: dict[str, AttributeValue] = {names.RESOURCE_NAME: str(attached.name)}
        if attached.declared is not None:
            facts[names.RESOURCE_DECLARED] = bool(attached.declared)
        return facts
    except Exception as error:  # noqa: BLE001  another version of that package
        guard.swallow("attached", error)
        return {}
