"""A6: who answers has another certificate, which the same authority issued."""

from backwatch.attack.entries import mysql_certificate_swapped, run
from backwatch.attack.entries._mysql import Connector


class CertificateSwapped(Connector, mysql_certificate_swapped.CertificateSwapped):
    """On mysql-connector-python, verified in full: the authority was talked into a second certificate."""


if __name__ == "__main__":
    run(CertificateSwapped)
