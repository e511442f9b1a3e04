"""B4: the server switches the login to the plugin of twenty years ago."""

from backwatch.attack.entries import mysql_old_hash, run
from backwatch.attack.entries._mysql import Connector


class OldHash(Connector, mysql_old_hash.OldHash):
    """On mysql-connector-python, over verified TLS: what it sends can be tried against lists of passwords."""


if __name__ == "__main__":
    run(OldHash)
