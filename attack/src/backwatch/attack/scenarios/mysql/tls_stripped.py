"""A2: a man in the middle removes TLS from the greeting. The driver continues without."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.mysql_tls import ForgetsTls, TlsStrippingMySQL


class MysqlTlsStripped(ForgetsTls):
    """The statement arrives in plaintext, and its result leaves so."""

    code = "A2"
    attack = "hides that it supports TLS, and reads the session in plaintext"
    reference = "CVE-2015-3152; https://duo.com/blog/backronym-mysql-vulnerability"
    server = TlsStrippingMySQL
    runs = (Run(PyMySQL), Run(MySQLConnector, "connector"))
