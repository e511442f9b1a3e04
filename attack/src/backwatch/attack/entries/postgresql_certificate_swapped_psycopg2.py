"""A6: who answers has another certificate, which the same authority issued."""

from backwatch.attack.entries import postgresql_certificate_swapped, run
from backwatch.attack.entries._postgresql import Psycopg2


class CertificateSwapped(Psycopg2, postgresql_certificate_swapped.CertificateSwapped):
    """On psycopg2, verified in full: the authority that both trust has been talked into a second certificate."""


if __name__ == "__main__":
    run(CertificateSwapped)
