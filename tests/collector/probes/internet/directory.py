"""Connections of ldap3 to the tests' directory that send nothing unless a test does."""

from typing import Any

import ldap3

from tests.contract.exercises.ldap3 import make_server
from tests.services.server import Server

QUIET: dict[str, Any] = {"get_info": ldap3.NONE}
"""Options of a server about which the library then asks nothing by itself."""


def bind(server: Server, **options: Any) -> ldap3.Connection:
    """Return a connection over TLS, bound to the account with every right."""
    return ldap3.Connection(make_server(server, **QUIET), server.user, server.password, auto_bind=True, **options)
