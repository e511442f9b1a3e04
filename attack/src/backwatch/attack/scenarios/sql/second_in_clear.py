"""A1: a second database is attached without TLS, and by a login that only proves the password."""

from collections.abc import Mapping
from typing import Any, ClassVar

from backwatch.attack.clients.mysql import DEFAULT_TLS
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.second import AttachesInClear
from backwatch.attack.techniques.sql import HONEST


class SqlSecond(AttachesInClear):
    """``ssl_disabled``, as guides for a first try have it, and ``sslmode=disable``. Rows can be changed on the way."""

    attack = "is attached in plaintext beside another one, so that who is on the way reads orders and customers"
    rule = "plaintext-session"
    servers = HONEST
    careless: ClassVar[Mapping[str, Any]]
    runs = (
        Run(PyMySQL, confidential=b"FROM orders", careless={**DEFAULT_TLS, "ssl_disabled": True}),
        Run(Psycopg, confidential=b"FROM customers", careless={"sslmode": "disable"}),
    )

    def visit(self, host: str, *, careful: bool) -> object:
        """Run the lookup on a new connection."""
        return self.client.look_up(host=host, **({} if careful else self.careless))
