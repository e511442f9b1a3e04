"""What DNS gives for ``mongodb+srv://``: asked again and again, told where it has changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from backwatch.collector.probes.toolkit.nodes import announced
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session

if TYPE_CHECKING:
    from backwatch.collector.payload.formats import Facts
    from backwatch.collector.probes import Recorder

MAX_SEEDS: Final = 256


class Seeds:
    """The names that were looked up in this process, and what they gave."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.active = True
        self.seeds: dict[str, Facts] = {}

    @never_breaks_the_host
    def resolving(self, _resolver: Any, _args: Any, _options: Any) -> int | None:
        """DNS is about to be asked."""
        return time.time_ns() if self.active else None

    @never_breaks_the_host
    def resolved(self, resolver: Any, start_ns: int, result: Any) -> None:
        """The seeds that DNS gives for ``mongodb+srv://``; asked again and again, told where they have changed."""
        name = words(getattr(resolver, "_SrvResolver__fqdn", ""), 255)
        facts = announced(f"{host}:{port}" for host, port in result[1])
        if self.seeds.get(name) == facts:
            return
        if len(self.seeds) >= MAX_SEEDS:
            self.seeds.clear()
        self.seeds[name] = facts
        self.recorder.record_call(Session(system="mongodb", address=name), "resolve", start_ns=start_ns, facts=facts)

    @never_breaks_the_host
    def resolve_failed(self, resolver: Any, start_ns: int, error: BaseException) -> None:
        """There are none, or some that the driver refuses."""
        name = words(getattr(resolver, "_SrvResolver__fqdn", ""), 255)
        self.recorder.record_call(Session(system="mongodb", address=name), "resolve", start_ns=start_ns, error=error)
