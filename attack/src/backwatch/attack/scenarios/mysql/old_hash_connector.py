"""B4: the server switches the login to the plugin of twenty years ago."""

from backwatch.attack.scenarios.mysql import old_hash
from backwatch.attack.techniques.mysql import Connector


class OldHash(Connector, old_hash.OldHash):
    """On mysql-connector-python, over verified TLS: what it sends can be tried against lists of passwords."""
