"""D1: a MySQL server answers any SELECT with a request for a file, and the client looks at its statement first."""

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.mysql import MySQL
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.mysql import ONE, ORDERS, Connector


class Asking(HonestMySQL):
    """Asks for a file, once it has turned."""

    answers = MySQL.answers


class LocalInfile(Connector):
    """On mysql-connector-python, allowed to send files: it does so only for a statement that loads one."""

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
        with self.connected(allow_local_infile=True).cursor() as cursor:
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
