"""A10: who answers has the right certificate and key, but is another server."""

from backwatch.attack.entries import mysql_server_changed, run
from backwatch.attack.entries._mysql import Connector


class ServerChanged(Connector, mysql_server_changed.ServerChanged):
    """On mysql-connector-python: with a stolen key nothing else betrays whoever answers."""


if __name__ == "__main__":
    run(ServerChanged)
