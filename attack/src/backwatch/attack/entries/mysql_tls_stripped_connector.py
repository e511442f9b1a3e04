"""A2: who is in between leaves TLS out of the greeting; mysql-connector-python, asked for nothing, goes on."""

from backwatch.attack.entries import mysql_tls_stripped, run
from backwatch.attack.entries._mysql import Connector


class TlsStripped(Connector, mysql_tls_stripped.TlsStripped):
    """On mysql-connector-python, whose default only prefers TLS. The app asks for more everywhere but in one place."""


if __name__ == "__main__":
    run(TlsStripped)
