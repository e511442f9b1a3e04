"""A10: who answers has the right certificate and key, but is another server."""

from backwatch.attack.scenarios.postgresql import server_changed
from backwatch.attack.techniques.postgresql import Psycopg


class ServerChanged(Psycopg, server_changed.ServerChanged):
    """On psycopg: with a stolen key nothing else betrays whoever answers."""
