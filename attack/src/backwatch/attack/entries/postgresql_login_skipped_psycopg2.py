"""B8 on psycopg2: the server lets the app in without a password, as whoever does not know it must."""

from backwatch.attack.entries import run
from backwatch.attack.entries._postgresql import Psycopg2, ReadsCustomers
from backwatch.attack.entries._postgresql_login import SkipsLogin


class LoginSkipped(SkipsLogin, ReadsCustomers, Psycopg2):
    """psycopg2 takes it for a login; chain and name are checked."""


if __name__ == "__main__":
    run(LoginSkipped)
