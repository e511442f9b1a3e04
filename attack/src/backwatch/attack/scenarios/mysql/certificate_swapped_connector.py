"""A6: who answers has another certificate, which the same authority issued."""

from backwatch.attack.scenarios.mysql import certificate_swapped
from backwatch.attack.techniques.mysql import Connector


class CertificateSwapped(Connector, certificate_swapped.CertificateSwapped):
    """On mysql-connector-python, verified in full: the authority was talked into a second certificate."""
