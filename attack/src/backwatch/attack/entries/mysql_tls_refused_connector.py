"""A2: who sits in between leaves TLS out of the greeting, and mysql-connector-python, told to insist, leaves."""

from backwatch.attack.entries import mysql_tls_refused, run
from backwatch.attack.entries._mysql import Connector


class TlsRefused(Connector, mysql_tls_refused.TlsRefused):
    """On mysql-connector-python, with an authority to verify with: nothing is lost, somebody is there."""


if __name__ == "__main__":
    run(TlsRefused)
