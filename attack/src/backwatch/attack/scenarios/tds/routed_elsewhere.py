"""C7: a SQL Server routes a login to another host. The client logs in there with the same password."""

from backwatch.attack.protocols.tds import RoutingSqlServer
from backwatch.attack.scenarios import SECRET, Scenario


class RoutedElsewhere(Scenario):
    """python-tds follows the routing, and checks the certificate for the name that it was given."""

    code = "C7"
    attack = "answers a login with a route to another host, which is sent the password"
    reference = "https://learn.microsoft.com/openspecs/windows_protocols/ms-tds/ (2.2.7.9, routing); ATT&CK T1557"
    driver = "pytds"
    rule = "redirected"
    server = RoutingSqlServer
    captures = SECRET.encode()

    def work(self) -> object:
        """Read orders, on a new connection each time."""
        import pytds

        with (
            pytds.connect(
                dsn="localhost", port=self.config.port, user="shop", password=SECRET, database="shop", autocommit=True,
                cafile=self.config.ca_file, timeout=5, login_timeout=60,  # the first attempt gets a twelfth of it
            ) as connection,
            connection.cursor() as cursor,
        ):  # fmt: skip
            cursor.execute("SELECT id, total FROM orders WHERE customer = %s ORDER BY id", ("customer 3",))
            return [list(row) for row in cursor.fetchall()]
