"""F8: a table is emptied, and the ransom note comes later."""

from backwatch.attack.clients.sqlite3 import SQLite
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage
from backwatch.attack.techniques.sqlite import DatabaseFile


class DeletesEverything(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F8"
    attack = "deletes every customer"
    reference = "https://attack.mitre.org/techniques/T1485/"
    rule = "data-destroyed"
    server = DatabaseFile
    statement = "DELETE FROM customers"
    runs = (Run(SQLite),)

    @classmethod
    def has_succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the table in the file is empty."""
        del got
        return isinstance(service, DatabaseFile) and service.count_customers() == 0
