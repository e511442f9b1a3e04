"""Look-ups of ``mongodb+srv://`` in DNS: they repeat, and are recorded when their result changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from backwatch.collector.probes.toolkit.nodes import topology_facts
from backwatch.collector.probes.toolkit.observers import SwitchableObserver
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.keyed_cache import remember
from backwatch.collector.runtime.record import Facts, Session

if TYPE_CHECKING:
    from backwatch.collector.probes import Recorder

MAX_NAMES: Final = 256


class SeedObserver(SwitchableObserver):
    """The observer of look-ups: the names of this process, and the servers that DNS returned for them."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.seeds: dict[str, Facts] = {}

    @never_breaks_the_host
    def on_resolve(self, _resolver: Any, _args: Any, _kwargs: Any) -> int | None:
        """Return the start of a look-up; ``None`` if it is not recorded."""
        return time.time_ns() if self.active else None

    @never_breaks_the_host
    def on_resolve_end(self, resolver: Any, start_ns: int, result: Any, error: BaseException | None) -> None:
        """Record a look-up that failed, was refused by the driver, or returned other servers than before."""
        name = words(getattr(resolver, "_SrvResolver__fqdn", ""), 255)
        facts: Facts = ()
        if error is None:
            facts = topology_facts(f"{host}:{port}" for host, port in result[1])
            if self.seeds.get(name) == facts:
                return
            remember(self.seeds, name, facts, MAX_NAMES)
        session = Session(system="mongodb", address=name)
        self.recorder.record_call(session, "resolve", start_ns=start_ns, error=error, facts=facts)
