"""cask: a key-value store that exchanges lines over TLS."""

import importlib
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.lines.observer import LineCallObserver
from backwatch.collector.probes.families.lines.state import InFlightLineCall
from backwatch.collector.probes.toolkit.hooks import Args, Error, Kwargs, call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts  # noqa: TC001  as probes import it

VERBS = frozenset(("GET", "PUT"))


class CaskCallObserver(LineCallObserver):
    """Cask connections."""

    system = "cask"
    port = 7077

    def code_of(self, error: BaseException) -> str:
        """Return no code: cask has none."""
        del error
        return ""

    def greeting_facts(self, client: Any, result: Any) -> dict[str, Any]:
        """Return no facts: the server sends no greeting."""
        del client, result
        return {}

    @never_breaks_the_host
    def on_execute(self, client: Any, args: Args, _kwargs: Kwargs) -> InFlightLineCall | None:
        """Note a command and its key."""
        verb, key, *_value = args[0].split(" ", 2)
        return self.begin_call(client, verb if verb in VERBS else "?", subject=key)

    @never_breaks_the_host
    def on_execute_end(self, client: Any, call: InFlightLineCall, reply: Any, error: Error) -> None:
        """Record a command, and whether the response names its key."""
        is_other = error is None and reply[0] != call.subject
        facts: Facts = ((names.RESPONSE_INDICATORS, "other-key"),) if is_other else ()
        self.end_call(client, call, error, f"{call.state.busy} ?", facts=facts)


class CaskProbe(PatchingProbe[CaskCallObserver]):
    """cask 1."""

    name = "cask"
    module = "cask"
    label = "cask"
    service_kind = "Caches and documents"
    indicators = frozenset(("other-key",))
    distributions = ("cask>=1",)
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.BYTES_SENT,
        names.BYTES_RECEIVED, names.ERROR_TYPE, names.RESPONSE_INDICATORS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap the two methods through which everything goes."""
        cask: Any = importlib.import_module("cask")

        self._observer, self._patches = CaskCallObserver(recorder, cask.Client), Patches()
        self._patches.wrap(cask.Client, "connect", self._observer.connect_hook())
        self._patches.wrap(cask.Client, "execute", call_hook(self._observer.on_execute, self._observer.on_execute_end))
