"""E1: an answer that comes just before the app gives up holds a worker each time."""

import time

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.mysql import Packets
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mysql import Connector, ReadsOrders

DRIP_S = 4.0


class Dripping(HonestMySQL):
    """Lets wait, once it has turned."""

    def answers(self, wire: Packets, statement: bytes) -> bool:
        """After a while."""
        if self.hostile and statement.upper().startswith(b"SELECT ID"):
            time.sleep(DRIP_S)
        return super().answers(wire, statement)


class SlowAnswer(Connector, ReadsOrders):
    """On mysql-connector-python, with limits of its own that are never reached."""

    code = "E1"
    attack = "answers, but so late that the app is busy with waiting"
    reference = "https://attack.mitre.org/techniques/T1499/004/"
    notices = "that it is slow"
    rule = "slow-response"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Dripping(authority)

    def meet(self) -> object:
        """The same, by the clock: seconds."""
        begun = time.monotonic()
        self._read()
        return time.monotonic() - begun

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app has waited."""
        del service
        return isinstance(got, float) and got >= DRIP_S
