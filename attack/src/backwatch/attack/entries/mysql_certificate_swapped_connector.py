"""A6: who answers has another certificate, which the same authority issued."""

from backwatch.attack.authority import Authority
from backwatch.attack.entries import run
from backwatch.attack.entries._mysql import ONE, ORDERS, Connector
from backwatch.attack.servers import HostileServer
from backwatch.attack.speakers.mysql import HonestMySQL


class CertificateSwapped(Connector):
    """On mysql-connector-python, verified in full: the authority was talked into a second certificate."""

    code = "A6"
    attack = "shows another certificate of the same authority, and serves its own data"
    reference = "https://attack.mitre.org/techniques/T1649/"
    rule = "certificate-changed"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest, with a certificate of its own."""
        return HonestMySQL(authority)

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Somebody else answers now, with a key of his own."""
        service.certificate = service.authority.issue("in the middle")
        service.turn()

    def work(self) -> None:
        """Reads orders, on a new connection each time."""
        self._read()

    def meet(self) -> object:
        """The same."""
        return self._read()

    def _read(self) -> int:
        self.renew()
        with self.connected().cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            return len(cursor.fetchall())

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app took what it was given for its own data."""
        del service
        return got == HonestMySQL.rows


if __name__ == "__main__":
    run(CertificateSwapped)
