"""A3: an attacker in the middle refuses TLS, and libpq, which insists on it, hangs up."""

from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.demo.services.postgresql import PostgreSQL
from backwatch.attack.protocols.server import SECRET
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.sql import Lookup


class PostgresqlTlsRefused(Lookup):
    """With ``sslmode=verify-full`` nothing is lost, but the attack must raise an alert."""

    code = "A3"
    attack = PostgreSQL.attack
    reference = PostgreSQL.reference
    notices = "an error at connect"
    rule = "tls-stripped"
    server = PostgreSQL
    captures = SECRET.encode()
    runs = (Run(Psycopg),)
