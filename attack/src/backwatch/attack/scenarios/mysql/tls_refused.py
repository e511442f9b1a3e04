"""A2: who sits in between leaves TLS out of the greeting, and PyMySQL, told to insist, leaves."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mysql import ONE, ORDERS, PyMySQL


class Stripping(HonestMySQL):
    """Has no TLS any more, once it has turned."""

    def offers_tls(self) -> bool:
        """Until then."""
        return not self.hostile


class TlsRefused(PyMySQL):
    """On PyMySQL, with an authority to verify with: nothing is lost, and somebody is there all the same."""

    code = "A2"
    attack = "hides that it can do TLS, and reads what is said in plaintext"
    reference = "CVE-2015-3152; https://duo.com/blog/backronym-mysql-vulnerability"
    notices = "an error at connect"
    rule = "tls-stripped"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Stripping(authority)

    def work(self) -> None:
        """Reads orders over verified TLS, on a new connection each time."""
        self.renew()
        with self.connected().cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            cursor.fetchall()

    def meet(self) -> object:
        """The same."""
        self.renew()
        with self.connected().cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            return len(cursor.fetchall())

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The statement came in plaintext, and its answer left so."""
        del service
        return got == HonestMySQL.rows
