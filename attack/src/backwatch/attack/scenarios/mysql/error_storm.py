"""E4: the server closes each session at the first statement."""

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import FailingLookup


class Resetting(HonestMySQL):
    """Hangs up instead of a result, once hostile."""

    def answers(self, wire: Packets, statement: bytes) -> bool:
        """Hang up on statements."""
        if self.hostile:
            raise EOFError
        return super().answers(wire, statement)


class ErrorStorm(FailingLookup):
    """The app tries again at once."""

    code = "E4"
    attack = "lets clients log in, and hangs up instead of an answer"
    reference = "https://attack.mitre.org/techniques/T1499/003/"
    notices = "errors"
    rule = "error-storm"
    server = Resetting
    runs = (Run(PyMySQL),)
