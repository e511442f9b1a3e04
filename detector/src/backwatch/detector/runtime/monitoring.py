"""The monitoring endpoint of ``backwatch detect``: the loops of detector and router."""

import threading

from sqlalchemy import Engine

from backwatch.store.monitoring.endpoint import detector_check, start_monitoring
from backwatch.store.monitoring.loops import LoopMonitor, MonitoredStop


class DetectorMonitoring:
    """Counts the turns of both loops by their stop events, and serves the endpoint if a port is set.

    Attributes:
        service_stop: The stop event for the detector's service, which runs in the main thread.
        router_stop: The stop event for the router, which runs in a thread of its own.

    Raises:
        SettingError: The endpoint's address or port cannot be listened on.
    """

    def __init__(self, store: Engine, stop: threading.Event, *, router: bool) -> None:
        detector_loop, router_loop = LoopMonitor("detector"), LoopMonitor("router")
        self.service_stop = MonitoredStop(stop, detector_loop, threading.main_thread())
        self.router_stop = MonitoredStop(stop, router_loop)
        loops = (detector_loop, router_loop) if router else (detector_loop,)
        self._loops = loops
        self._server = start_monitoring("detector", lambda: store, loops, detector_check)

    def extend_start(self) -> None:
        """Give the loops their time to begin anew: the start waits for the store."""
        for loop in self._loops:
            loop.extend_start()

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.close()
