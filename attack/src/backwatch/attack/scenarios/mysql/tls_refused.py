"""A2: a man in the middle removes TLS from the greeting. The driver requires it and disconnects."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.mysql_tls import TlsStrippingMySQL
from backwatch.attack.techniques.sql import Lookup


class MysqlTlsRefused(Lookup):
    """With a trusted authority nothing is lost, but the attack must raise an alert."""

    code = "A2"
    attack = "hides that it supports TLS, and reads the session in plaintext"
    reference = "CVE-2015-3152; https://duo.com/blog/backronym-mysql-vulnerability"
    notices = "an error at connect"
    rule = "tls-stripped"
    server = TlsStrippingMySQL
    runs = (Run(PyMySQL), Run(MySQLConnector, "connector"))
