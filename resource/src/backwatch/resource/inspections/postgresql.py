"""PostgreSQL: SSLRequest, and a start-up message that ends before a password would be sent."""

import struct
from typing import ClassVar, Final

from backwatch.resource.inspections import PROBE_NAME, Account, Inspection, Link, query
from backwatch.resource.resource import Resource
from backwatch.resource.url import ServiceUrl

SSL_REQUEST: Final = struct.pack(">II", 8, 80877103)
AUTHENTICATION: Final = {0: "lets the account in without a password", 3: "asks for the password in clear"}
ROLES: Final = ("pg_read_server_files", "pg_write_server_files", "pg_execute_server_program")
_MEMBERSHIPS: Final = ", ".join(
    f"case when rolsuper then false else pg_has_role(oid, '{role}', 'member') end" for role in ROLES
)
POWERS: Final = f"""
    select rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
           {_MEMBERSHIPS}
    from pg_roles where rolname = current_user
"""  # noqa: S608  the roles above
WORDS: Final = ("SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS", *ROLES)


class PostgreSQLInspection(Inspection):
    """One port for both; TLS begins after a request."""

    schemes: ClassVar = ("postgresql", "postgres")
    default_logins: ClassVar = (("postgres", "postgres"), ("postgres", "password"), ("postgres", "admin"))

    def start_tls(self, link: Link) -> bool:
        """Send SSLRequest; the server answers ``S`` or ``N``."""
        link.send(SSL_REQUEST)
        return link.read(1) == b"S"

    def accepts_plaintext(self, link: Link, url: ServiceUrl) -> str:
        """Return how the server would let the account log in without TLS."""
        code = _ask_login(link, url)
        if code is None:
            return ""
        return f"the server {AUTHENTICATION.get(code, 'offers a login')} without TLS"

    def needs_no_login(self, link: Link, url: ServiceUrl) -> str:
        """Return whether the server trusts a client that names the account."""
        return "the server lets this account in without a password" if _ask_login(link, url) == 0 else ""

    def read_account(self, resource: Resource) -> Account:
        """Ask the catalogue."""
        (version,), roles = query(resource, "show server_version", POWERS)
        name, *flags = roles[0] if roles else ("", *[False] * len(WORDS))
        powers = [word for word, held in zip(WORDS, flags, strict=True) if held]
        return Account(name=str(name), version=str(version[0]), powers=powers)


def _ask_login(link: Link, url: ServiceUrl) -> int | None:
    """Return the kind of authentication that the server asks for; ``None``: it refuses."""
    words = ["user", url.user or PROBE_NAME, "database", url.path or url.user or "postgres"]
    body = struct.pack(">I", 196608) + b"".join(word.encode() + b"\0" for word in words) + b"\0"
    link.send(struct.pack(">I", len(body) + 4) + body)
    if link.read(1) != b"R":
        return None
    (_, code) = struct.unpack(">II", link.read(8))
    return code
