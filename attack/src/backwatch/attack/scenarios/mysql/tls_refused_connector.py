"""A2: who sits in between leaves TLS out of the greeting, and mysql-connector-python, told to insist, leaves."""

from backwatch.attack.scenarios.mysql import tls_refused
from backwatch.attack.techniques.mysql import Connector


class TlsRefused(Connector, tls_refused.TlsRefused):
    """On mysql-connector-python, with an authority to verify with: nothing is lost, somebody is there."""
