"""H1: a page size without a bound, and a table leaves in one answer."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.protocols.tables import PostgreSQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ListPage


class NoLimit(ListPage):
    """The visitor chooses the page size, without a bound."""

    server = PostgreSQLOfTables
    runs = (Run(Psycopg2),)
