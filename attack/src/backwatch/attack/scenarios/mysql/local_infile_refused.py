"""D1: a MySQL server answers any SELECT with a request for a file of the client's, and PyMySQL refuses."""

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.mysql import MySQL
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mysql import ONE, ORDERS, PyMySQL


class Asking(HonestMySQL):
    """Asks for a file, once it has turned."""

    answers = MySQL.answers


class LocalInfile(PyMySQL):
    """On PyMySQL as it comes: nothing is lost, and somebody tried all the same."""

    code = "D1"
    attack = MySQL.attack
    reference = MySQL.reference
    notices = "an error"
    rule = "local-file-request"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It takes what is sent."""
        service = Asking(authority)
        service.taken = service.kept.append
        return service

    def work(self) -> None:
        """Reads orders."""
        with self.connected().cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            cursor.fetchall()

    def meet(self) -> object:
        """Reads orders on a new connection."""
        self.renew()
        self.work()
        return None

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The file's content has arrived."""
        del got
        return b"root:" in b"".join(service.kept)
