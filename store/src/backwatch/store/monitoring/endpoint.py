"""The monitoring endpoint of a process: ``/healthz``, ``/readyz`` and ``/metrics`` on a port of its own.

``/healthz``: the process is alive, its loops turn. ``/readyz``: it can do its work. Both answer 200, or 503 with a line
for each reason. A store that hangs is one: no path waits for it longer than a second or two.
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from backwatch.collector.settings import MonitoringSettings, SettingError, load
from backwatch.store.connect import StoreUnavailable
from backwatch.store.health import shard_rows
from backwatch.store.monitoring.incidents import Incident, find_incidents
from backwatch.store.monitoring.loops import LoopMonitor
from backwatch.store.monitoring.server import MonitoringServer, Response, StoreAnswer
from backwatch.store.progress import read_progress
from backwatch.store.transactions import reading

READY_WAIT_S: Final = 1.5
"""Longest wait of ``/readyz`` for the store: monitors give up after a few seconds."""
Check = Callable[[sa.Connection, int], list[Incident]]
"""From a reading connection and the wall time to what keeps a process from its work."""


def detector_check(connection: sa.Connection, now_ns: int) -> list[Incident]:
    """Return what keeps the detectors from judging: silent, or a partition that is not read or does not advance."""
    return find_incidents(read_progress(connection), shard_rows(connection), now_ns)


def store_check(connection: sa.Connection, _now_ns: int) -> list[Incident]:
    """Return nothing: that the store answers is enough."""
    shard_rows(connection)
    return []


def start_monitoring(
    part: str, store: Callable[[], sa.Engine], loops: Sequence[LoopMonitor], check: Check = store_check
) -> MonitoringServer | None:
    """Start the endpoint where ``BACKWATCH_MONITORING_PORT`` is set.

    Args:
        part: detector, notify or dashboard.
        store: Gives the open store.
        loops: Loops that must turn.
        check: What else must hold.

    Raises:
        SettingError: The address or port cannot be listened on.
    """
    settings = load(MonitoringSettings)
    if not settings.port:
        return None
    listening = listen(settings)
    from backwatch.store.monitoring.metrics import Figures  # a tenth of a second, which only who asks for it spends

    figures = Figures(part, store, loops, check, time.time_ns)

    def is_alive() -> Response:
        return _verdict([loop.fault for loop in loops if loop.fault])

    def find_faults() -> list[str]:
        wrong = [loop.fault for loop in loops if loop.fault]
        return wrong + [f"the loop of the {loop.name} has not begun" for loop in loops if not loop.turns]

    def is_ready() -> Response:
        wrong = find_faults()
        try:
            with reading(store()) as connection:
                wrong += [incident.message for incident in check(connection, time.time_ns())]
        except (StoreUnavailable, SettingError, SQLAlchemyError, OSError) as error:
            wrong.append(f"the store does not answer ({type(error).__name__})")
        return _verdict(wrong)

    def is_ready_without_store() -> Response:
        return _verdict([*find_faults(), "the store does not answer (no reply yet)"])

    slow = {
        "/readyz": StoreAnswer(is_ready, is_ready_without_store, READY_WAIT_S),
        "/metrics": StoreAnswer(figures.response, figures.response_without_store),
    }
    server = MonitoringServer(listening, quick={"/healthz": is_alive}, slow=slow)
    server.start()
    return server


def _verdict(wrong: Sequence[str]) -> Response:
    if not wrong:
        return Response(status=200, body=b"ok\n")
    return Response(status=503, body=("\n".join(wrong) + "\n").encode("utf-8", "backslashreplace"))


def listen(settings: MonitoringSettings) -> socket.socket:
    """Return the socket to serve on.

    Raises:
        SettingError: The address is none of this machine, or the port is taken.
    """
    try:
        is_ipv6 = ipaddress.ip_address(settings.address).version == 6
    except ValueError:
        raise SettingError(f"BACKWATCH_MONITORING_ADDRESS={settings.address[:100]!r}: is not an IP address") from None
    listening = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.address, settings.port))
        listening.listen(64)
    except OSError as error:
        listening.close()
        raise SettingError(
            f"BACKWATCH_MONITORING_PORT={settings.port}: cannot listen on {settings.address}: {error.strerror}"
        ) from None
    return listening
