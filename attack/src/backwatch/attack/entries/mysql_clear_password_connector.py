"""B2: the server switches the login to a plugin that sends the password as it is."""

from backwatch.attack.entries import mysql_clear_password, run
from backwatch.attack.entries._mysql import Connector


class ClearPassword(Connector, mysql_clear_password.ClearPassword):
    """On mysql-connector-python, over verified TLS: whoever has taken the server over now has the password too."""


if __name__ == "__main__":
    run(ClearPassword)
