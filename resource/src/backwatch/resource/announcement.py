"""Which resources this process attached, for a monitor in the same process.

A collector that finds this module loaded reads :func:`find_attached` when a session opens. So the profile follows the
name of the config variable, and a move to another service is known as meant. Nothing leaves the process from here.
"""

import threading
from dataclasses import dataclass
from typing import Final

MAX_ENDPOINTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Attached:
    """One attached endpoint.

    Attributes:
        name: Name given to ``attach``.
        declared: Whether ``hosts`` of the file or of the app's code list the host; ``None``: they list none.
        mode: Of the policy.
    """

    name: str
    declared: bool | None
    mode: str


_by_endpoint: dict[tuple[str, int], Attached] = {}
_lock = threading.Lock()


def announce(host: str, port: int, attached: Attached) -> None:
    """Remember what an endpoint is attached as. Beyond the bound, nothing is remembered."""
    with _lock:
        if len(_by_endpoint) < MAX_ENDPOINTS or (host.lower(), port) in _by_endpoint:
            _by_endpoint[host.lower(), port] = attached


def find_attached(host: str, port: int) -> Attached | None:
    """Return what an endpoint is attached as, or ``None``. Costs one lookup; takes no lock."""
    return _by_endpoint.get((host.lower(), port))
