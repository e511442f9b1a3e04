"""B8 on psycopg: the server lets the app in without a password, as whoever does not know it must."""

from backwatch.attack.techniques.postgresql import Psycopg, ReadsCustomers
from backwatch.attack.techniques.postgresql_login import SkipsLogin


class LoginSkipped(SkipsLogin, ReadsCustomers, Psycopg):
    """psycopg takes it for a login; chain and name are checked."""
