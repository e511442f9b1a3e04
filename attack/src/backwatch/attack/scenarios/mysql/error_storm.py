"""E4: who is let in is cut off at the first statement."""

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mysql import PyMySQL, ReadsOrders

TRIES = 12


class Resetting(HonestMySQL):
    """Hangs up instead of an answer, once it has turned."""

    def answers(self, wire: Packets, statement: bytes) -> bool:
        """Hangs up on statements."""
        if self.hostile:
            raise EOFError
        return super().answers(wire, statement)


class ErrorStorm(PyMySQL, ReadsOrders):
    """On PyMySQL, in an app that simply tries again."""

    code = "E4"
    attack = "lets clients log in, and hangs up instead of an answer"
    reference = "https://attack.mitre.org/techniques/T1499/003/"
    notices = "errors"
    rule = "error-storm"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Resetting(authority)

    def meet(self) -> object:
        """Tries again and again, as apps do: how often that failed."""
        failed = 0
        for _ in range(TRIES):
            try:
                self._read()
            except Exception:  # noqa: BLE001  the driver's own, whatever it is
                failed += 1
        return failed

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Nothing was answered."""
        del service
        return got == TRIES
