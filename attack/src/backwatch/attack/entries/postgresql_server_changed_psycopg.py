"""A10: who answers has the right certificate and key, but is another server."""

from backwatch.attack.entries import postgresql_server_changed, run
from backwatch.attack.entries._postgresql import Psycopg


class ServerChanged(Psycopg, postgresql_server_changed.ServerChanged):
    """On psycopg: with a stolen key nothing else betrays whoever answers."""


if __name__ == "__main__":
    run(ServerChanged)
