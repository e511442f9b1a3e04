"""A2: who is in between leaves TLS out of the greeting; mysql-connector-python, asked for nothing, goes on."""

from backwatch.attack.scenarios.mysql import tls_stripped
from backwatch.attack.techniques.mysql import Connector


class TlsStripped(Connector, tls_stripped.TlsStripped):
    """On mysql-connector-python, whose default only prefers TLS. The app asks for more everywhere but in one place."""
