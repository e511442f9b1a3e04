"""F9: the attacker ends other users' sessions one by one."""

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class EndsSessions(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F9"
    attack = "ends the sessions of other accounts"
    reference = "https://attack.mitre.org/techniques/T1489/"
    rule = "account-locked-out"
    shows = "[['0']]"
    statement = "SELECT pg_terminate_backend(4712)"
    runs = (Run(Psycopg),)
