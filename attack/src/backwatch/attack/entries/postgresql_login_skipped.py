"""B8 on psycopg: the server lets the app in without a password, as whoever does not know it must."""

from backwatch.attack.authority import Authority
from backwatch.attack.entries import run
from backwatch.attack.entries._postgresql import Psycopg, ReadsCustomers
from backwatch.attack.entries._postgresql_login import AsksOtherwise
from backwatch.attack.servers import HostileServer


class LoginSkipped(ReadsCustomers, Psycopg):
    """psycopg takes it for a login; chain and name are checked."""

    code = "B8"
    attack = "lets the app in without a password, as whoever does not know it must"
    reference = "https://www.postgresql.org/docs/current/auth-trust.html; ATT&CK T1557"
    rule = "auth-downgraded"
    notices = "nothing"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It asks for SCRAM yet."""
        return AsksOtherwise(authority)


if __name__ == "__main__":
    run(LoginSkipped)
