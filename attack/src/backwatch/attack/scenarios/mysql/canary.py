"""D11: an attacker reads an unused canary account."""

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.protocols.tables import MySQLOfTables
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.canary import AccountsByNumber


class MysqlCanary(AccountsByNumber):
    """The canary is a password hash."""

    server = MySQLOfTables
    runs = (Run(PyMySQL),)
