"""F1: an injected UNION reads passwords out of another table."""

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.tables import LOOT, MySQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage


class UnionInjected(SearchPage):
    """A page writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "reads a table of passwords through a UNION that a search field let in"
    reference = "https://owasp.org/www-community/attacks/SQL_Injection"
    rule = "query-attack"
    server = MySQLOfTables
    shows = LOOT
    search = "SELECT id, customer, total FROM orders WHERE customer = '{}' ORDER BY id"
    typed = "nobody' UNION SELECT id, name, password FROM accounts WHERE id < 5 -- "
    runs = (Run(PyMySQL),)
