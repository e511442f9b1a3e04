"""D1: a MySQL server answers any SELECT with a request for a file of the client's, and the client sends it."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.mysql import MySQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, AppConfig, Scenario


class LocalInfile(Scenario):
    """On PyMySQL, which sends files only where it was asked to allow them."""

    code = "D1"
    attack = MySQL.attack
    reference = MySQL.reference
    driver = "pymysql"
    notices = "an empty result"
    rule = "local-file-request"
    option = "local_infile=True"

    def __init__(self, config: AppConfig) -> None:
        super().__init__(config)
        self._connection: Any = None

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It takes what is sent."""
        service = MySQL(authority)
        service.taken = service.kept.append
        return service

    def _connected(self) -> Any:
        import pymysql

        if self._connection is None or not self._connection.open:
            self._connection = pymysql.connect(
                host="localhost", port=self.config.port, user="shop", password=SECRET, database="shop", autocommit=True,
                ssl_ca=self.config.ca_file, ssl_verify_cert=True, ssl_verify_identity=True, local_infile=True,
                connect_timeout=5, read_timeout=5,
            )  # fmt: skip
        return self._connection

    def work(self) -> None:
        """Reads orders."""
        with self._connected().cursor() as cursor:
            cursor.execute("SELECT id, customer, total FROM orders WHERE customer = %s ORDER BY id", ("customer 3",))
            cursor.fetchall()

    def meet(self) -> object:
        """Reads orders on a new connection."""
        self._connection = None
        self.work()
        return None

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The file's content has arrived."""
        del got
        return b"root:" in b"".join(service.kept)
