"""F1: an injected OR makes a condition true for every row."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.protocols.tables import PostgreSQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage


class AlwaysTrue(SearchPage):
    """A page writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "reads every customer through a condition that is always true"
    reference = "https://owasp.org/www-community/attacks/SQL_Injection"
    rule = "query-attack"
    server = PostgreSQLOfTables
    search = "SELECT id, name, mail FROM customers WHERE name = '{}' ORDER BY id"
    typed = "nobody' OR 'a'='a' -- "
    runs = (Run(Psycopg2),)

    @classmethod
    def succeeded(cls, service: object, got: object) -> bool:
        """Return whether every row came back."""
        del service
        return isinstance(got, list) and len(got) == 20
