"""F1: an injected UNION reads passwords out of another table."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.protocols.tables import LOOT, PostgreSQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage


class UnionInjected(SearchPage):
    """A page writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "reads a table of passwords through a UNION that a search field let in"
    reference = "https://owasp.org/www-community/attacks/SQL_Injection"
    rule = "query-attack"
    server = PostgreSQLOfTables
    shows = LOOT
    search = "SELECT id, name, mail FROM customers WHERE name = '{}' ORDER BY id"
    typed = "nobody' UNION SELECT id, name, password FROM accounts WHERE id < 5 -- "
    runs = (
        Run(Psycopg),
        Run(Asyncpg, "asyncpg"),
        Run(Psycopg2, "psycopg2"),
    )
