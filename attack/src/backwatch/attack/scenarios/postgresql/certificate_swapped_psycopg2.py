"""A6: who answers has another certificate, which the same authority issued."""

from backwatch.attack.scenarios.postgresql import certificate_swapped
from backwatch.attack.techniques.postgresql import Psycopg2


class CertificateSwapped(Psycopg2, certificate_swapped.CertificateSwapped):
    """On psycopg2, verified in full: the authority that both trust has been talked into a second certificate."""
