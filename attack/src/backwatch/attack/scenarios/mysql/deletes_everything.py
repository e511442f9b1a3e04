"""F8: a table is emptied, and the ransom note comes later."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class Destroyed(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F8"
    attack = "deletes every order of the shop"
    reference = "https://attack.mitre.org/techniques/T1485/"
    rule = "data-destroyed"
    report = "SELECT name FROM customers ORDER BY id LIMIT 10"
    statement = "DELETE FROM orders"
    shows = "[['0']]"
    runs = (Run(MySQLConnector),)

    def work(self) -> object:
        """Make the usual report and count the orders."""
        return [super().work(), self.count()]

    def meet(self) -> object:
        """Make the attacker's report and return how many orders are left."""
        super().meet()
        return self.count()

    def count(self) -> object:
        """Count the orders."""
        return self.client.execute("SELECT count(*) FROM orders")
