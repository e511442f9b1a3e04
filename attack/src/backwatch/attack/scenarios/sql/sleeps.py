"""F10: connections are held by statements that only wait."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class Sleeps(ReportPage):
    """Neither database bounds a statement's time by default."""

    code = "F10"
    attack = "holds connections with statements that sleep"
    reference = "https://attack.mitre.org/techniques/T1499/003/"
    rule = "heavy-query"
    shows = "[['0']]"
    runs = (Run(PyMySQL, statement="SELECT SLEEP(60)"), Run(Psycopg2, statement="SELECT pg_sleep(60)"))
