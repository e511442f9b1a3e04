"""A3: who sits in between answers libpq's request for TLS with "no", and is told the password in clear."""

from backwatch.attack.entries import postgresql_tls_stripped, run
from backwatch.attack.entries._postgresql import Psycopg2


class TlsStripped(Psycopg2, postgresql_tls_stripped.TlsStripped):
    """On psycopg2, whose default only prefers TLS."""


if __name__ == "__main__":
    run(TlsStripped)
