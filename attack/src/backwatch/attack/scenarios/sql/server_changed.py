"""A10: the certificate and its key are the right ones, but another server answers."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import OtherVersion


class SqlServerChanged(OtherVersion):
    """With a stolen key, only the version distinguishes the two servers."""

    code = "A10"
    attack = "answers with a stolen certificate and key, as another server"
    reference = "https://attack.mitre.org/techniques/T1552/004/"
    rule = "server-changed"
    runs = (
        Run(PyMySQL, version=b"8.4.3"), Run(MySQLConnector, "connector", version=b"8.4.3"),
        Run(Psycopg2, version="16.2"), Run(Psycopg, "psycopg", version="16.2"),
    )  # fmt: skip
