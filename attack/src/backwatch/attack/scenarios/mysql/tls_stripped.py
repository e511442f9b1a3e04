"""A2: who sits in between leaves TLS out of the greeting, and PyMySQL, asked for nothing, goes on without."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mysql import ONE, ORDERS, PLAIN, PyMySQL


class Stripping(HonestMySQL):
    """Has no TLS any more, once it has turned."""

    def offers_tls(self) -> bool:
        """Until then."""
        return not self.hostile


class TlsStripped(PyMySQL):
    """On PyMySQL, whose default only prefers TLS. The app asks for more everywhere but in one place."""

    code = "A2"
    attack = "hides that it can do TLS, and reads what is said in plaintext"
    reference = "CVE-2015-3152; https://duo.com/blog/backronym-mysql-vulnerability"
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
        """Does the same where somebody forgot the authority."""
        self.renew()
        with self.connected(**PLAIN).cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            return len(cursor.fetchall())

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The statement came in plaintext, and its answer left so."""
        del service
        return got == HonestMySQL.rows
