"""A3: who sits in between answers libpq's request for TLS with "no", and is told the password in clear."""

from backwatch.attack.scenarios.postgresql import tls_stripped
from backwatch.attack.techniques.postgresql import Psycopg2


class TlsStripped(Psycopg2, tls_stripped.TlsStripped):
    """On psycopg2, whose default only prefers TLS."""
