"""B2: the server switches the login to a plugin that sends the password as it is."""

from backwatch.attack.scenarios.mysql import clear_password
from backwatch.attack.techniques.mysql import Connector


class ClearPassword(Connector, clear_password.ClearPassword):
    """On mysql-connector-python, over verified TLS: whoever has taken the server over now has the password too."""
