"""Every client library of the attack pack at ordinary work. Connections are lost during the hour."""

from collections.abc import Callable, Sequence

from backwatch.attack.baseline.workloads import Process, minutely, once, past, run
from backwatch.attack.baseline.workloads._scenario import ScenarioWorkload, drivers
from backwatch.attack.protocols.server import HostileServer

AWAY_S = 0.2


class OrdinaryWork(ScenarioWorkload):
    """The honest half of the pack's scenarios. Errors are replayed at their real pace.

    The server is back at once, as behind a supervisor. A server that is away for more than eight calls in a row is an
    ``error-storm``, and rightly.
    """

    title = "ordinary work, connections that the server drops, a pool that is renewed, a server that is restarted"
    naive = "errors and refused connections come in a row, and then many sessions begin at once"
    processes = (
        Process((
            past(), minutely("work", ends_s=2_400), once("dropped", 2, 2_400), once("renewed", 4, 2_600, 120),
            once("restarted", 3, 2_900),
        )),
    )  # fmt: skip

    @classmethod
    def client_libraries(cls) -> Sequence[str]:
        """Return every client library of the pack."""
        return drivers()

    @classmethod
    def enter(cls, phase: str, service: HostileServer, proceed: Callable[[], None]) -> None:
        """Drop connections, or stop the server as a whole for a moment."""
        if phase == "dropped":
            service.drop()
        proceed()
        if phase == "restarted":
            service.restart(AWAY_S)

    def work(self, phase: str, number: int) -> None:
        """Do the scenario's work. A pool drops its connections now and then."""
        if phase == "renewed":
            self.restart_app()
        super().work(phase, number)


if __name__ == "__main__":
    run(OrdinaryWork)
