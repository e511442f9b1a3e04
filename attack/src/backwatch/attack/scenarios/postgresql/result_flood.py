"""D9: an answer has a thousand times the rows that the statement ever had."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.postgresql import Psycopg, ReadsCustomers

MANY = 20_000


class Flooding(HonestPostgreSQL):
    """Answers with far more rows than there are, once it has turned."""

    def turn(self) -> None:
        """From now on."""
        self.rows = MANY
        super().turn()


class ResultFlood(Psycopg, ReadsCustomers):
    """On psycopg, which reads all of an answer into memory."""

    code = "D9"
    attack = "answers a search for one customer with twenty thousand rows"
    reference = "https://owasp.org/API-Security/editions/2023/en/0xaa-unsafe-consumption-of-apis/"
    notices = "a long list"
    rule = "bulk-read"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Flooding(authority)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app took them all."""
        del service
        return got == MANY
