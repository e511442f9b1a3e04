"""A10: who answers has the right certificate and key, but is another server."""

from backwatch.attack.authority import Authority
from backwatch.attack.entries import run
from backwatch.attack.entries._mysql import ONE, ORDERS, PyMySQL
from backwatch.attack.servers import HostileServer
from backwatch.attack.speakers.mysql import HonestMySQL


class Another(HonestMySQL):
    """Announces another version, once it has turned."""

    def turn(self) -> None:
        """From now on."""
        self.version = b"8.4.3"
        super().turn()


class ServerChanged(PyMySQL):
    """On PyMySQL: with a stolen key nothing else betrays whoever answers."""

    code = "A10"
    attack = "answers with a stolen certificate and key, as another server"
    reference = "https://attack.mitre.org/techniques/T1552/004/"
    rule = "server-changed"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Another(authority)

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
        return got == 12


if __name__ == "__main__":
    run(ServerChanged)
