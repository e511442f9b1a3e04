"""C7: a SQL Server routes a login to another host. The client logs in there with the same password."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.protocols.tds import Leading
from backwatch.attack.scenarios import SECRET, Scenario


class RoutedElsewhere(Scenario):
    """python-tds follows the routing, and checks the certificate for the name that it was given."""

    code = "C7"
    attack = "answers a login with a route to another host, which is sent the password"
    reference = "https://learn.microsoft.com/openspecs/windows_protocols/ms-tds/ (2.2.7.9, routing); ATT&CK T1557"
    driver = "pytds"
    rule = "redirected"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that leads its clients elsewhere."""
        return Leading(authority)

    def work(self) -> None:
        """Read orders."""
        self.meet()

    def meet(self) -> object:
        """Read orders, on a new connection as each time."""
        import pytds

        with (
            pytds.connect(
                dsn="localhost", port=self.config.port, user="shop", password=SECRET, database="shop", autocommit=True,
                cafile=self.config.ca_file, timeout=5, login_timeout=60,  # the first of several attempts gets a twelfth
            ) as connection,
            connection.cursor() as cursor,
        ):  # fmt: skip
            cursor.execute("SELECT id, total FROM orders WHERE customer = %s ORDER BY id", ("customer 3",))
            return [list(row) for row in cursor.fetchall()]

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the other host received the password and its orders were accepted."""
        assert isinstance(service, Leading)
        return bool(got) and any(SECRET.encode() in data for data in service.elsewhere.kept)
