"""F7: the session is taken out of the log."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class HidesTraces(ReportPage):
    """MySQL's binary log is switched off, and PostgreSQL's audit log."""

    code = "F7"
    attack = "switches the log off for what it does next"
    reference = "https://attack.mitre.org/techniques/T1562/001/"
    rule = "audit-disabled"
    runs = (
        Run(PyMySQL, captures=b"sql_log_bin", statement="SET sql_log_bin = 0"),
        Run(Psycopg2, captures=b"pgaudit", statement="SET pgaudit.log = 'none'"),
    )
