"""A10: who answers has the right certificate and key, but is another server."""

from backwatch.attack.scenarios.mysql import server_changed
from backwatch.attack.techniques.mysql import Connector


class ServerChanged(Connector, server_changed.ServerChanged):
    """On mysql-connector-python: with a stolen key nothing else betrays whoever answers."""
