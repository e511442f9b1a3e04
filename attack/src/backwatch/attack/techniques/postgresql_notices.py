"""D8: what the entries share that flood an app of PostgreSQL's with notices."""

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.postgresql import send
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.scenarios import Scenario

MANY = 2_000
_NOTICE = b"SNOTICE\0C00000\0M" + b"please read this carefully" + b"\0\0"


class Noisy(HonestPostgreSQL):
    """Has much to say, once it has turned."""

    def answers(self, session: Session, statement: bytes) -> bool:
        """After it has said so."""
        if self.hostile:
            for _ in range(MANY):
                send(session, b"N", _NOTICE)
        return super().answers(session, statement)


class FloodsNotices(Scenario):
    """In an app that writes every notice to its log; ``meet`` gives how many notices went there."""

    code = "D8"
    attack = "sends two thousand notices with an answer"
    reference = "https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC"
    notices = "a log that grows"
    rule = "server-notice-flood"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Noisy(authority)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """All of them were taken."""
        del service
        return got == MANY
