"""Sessions of PostgreSQL connections that libpq makes, established or failed."""

import os
from collections.abc import Mapping
from typing import Final

from backwatch.collector import names
from backwatch.collector.probes.families.postgresql.errors import refused_tls
from backwatch.collector.probes.families.postgresql.libpq import Libpq
from backwatch.collector.probes.toolkit.dbapi import MAX_TEXT_CHARACTERS
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import TlsFacts

_VARIABLES: Final = {
    "host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
}  # fmt: skip


def _requested_parameters(explicit: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a connection: the app's own, else those of libpq's environment variables."""
    found = {key: explicit.get(key) or os.environ.get(variable, "") for key, variable in _VARIABLES.items()}
    if not found["sslmode"] and "service" not in explicit and not os.environ.get("PGSERVICE"):
        found["sslmode"] = "verify-full" if explicit.get("sslrootcert") == "system" else "prefer"
    return found


def _is_explicit(sslmode: str, explicit: Mapping[str, str] | None) -> bool | None:
    """Return true if the app itself requested this ``sslmode``; ``None`` where its parameters are unknown."""
    if sslmode not in ("", "prefer") or os.environ.get("PGSSLMODE"):
        return True  # "prefer" is the only mode that needs no request
    return None if explicit is None else "sslmode" in explicit


def superuser_facts(value: object) -> tuple[tuple[str, bool], ...]:
    """Return the account's rights by the server's parameter ``is_superuser``: ``on``, ``off``, or nothing.

    >>> superuser_facts("on"), superuser_facts(b"off"), superuser_facts(None)
    ((('backwatch.account.superuser', True),), (('backwatch.account.superuser', False),), ())
    """
    word = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    return ((names.ACCOUNT_SUPERUSER, word == "on"),) if word in ("on", "off") else ()


def describe_connection(
    library: Libpq | None, pgconn: int, parameters: Mapping[str, str], explicit: Mapping[str, str] | None, *,
    uses_tls: bool, server_version: object, is_superuser: object,
) -> Session:  # fmt: skip
    """Describe an established connection.

    Args:
        library: The driver's libpq, where it can be loaded.
        pgconn: Address of the open ``PGconn``.
        parameters: ``host``, ``hostaddr`` (numeric), ``port``, ``user``, ``dbname``, ``sslmode``, as far as known.
        explicit: The app's own parameters; ``None``: unknown.
        uses_tls: Whether the driver itself reports TLS.
        server_version, is_superuser: The server's parameters of these names.
    """
    tls, login = TlsFacts(), ""
    if library is not None:
        tls, login = library.read_tls(pgconn, parameters.get("sslmode", "")), library.read_login(pgconn)
    if uses_tls:
        tls["encrypted"] = True  # the driver knows this much by itself
    return _build_session(
        parameters, explicit, tls, server_version=server_version, is_superuser=is_superuser, login=login
    )  # fmt: skip


def describe_request(explicit: Mapping[str, str], error: Error = None, **known: str) -> Session:
    """Describe a connection that failed, or is not established yet.

    Args:
        explicit: The app's own parameters.
        error: The driver's error, whose message may reveal that the server has no TLS.
        known: Parameters that the driver reports.
    """
    return _build_session({**_requested_parameters(explicit), **known}, explicit, refused_tls(str(error)))


def _build_session(
    parameters: Mapping[str, str], explicit: Mapping[str, str] | None, tls: TlsFacts, *, server_version: object = None,
    is_superuser: object = None, login: str = "",
) -> Session:  # fmt: skip
    host, numeric, port = parameters.get("host", ""), parameters.get("hostaddr", ""), parameters.get("port") or "5432"
    sslmode, number = parameters.get("sslmode", ""), int(port) if port.isdigit() else 0
    is_local = host.startswith(("/", "@")) and not numeric
    address = f"{host}/.s.PGSQL.{port}" if is_local else host or numeric
    return Session(
        system="postgresql",
        address=address[:MAX_TEXT_CHARACTERS],
        port=0 if is_local else number,
        namespace=parameters.get("dbname", "")[:MAX_TEXT_CHARACTERS],
        transport="unix" if is_local else "tcp",
        requested=sslmode,
        requested_explicit=_is_explicit(sslmode, explicit),
        peer_address=address[:MAX_TEXT_CHARACTERS] if is_local else numeric,
        peer_port=number if numeric else 0,
        account=parameters.get("user", "")[:MAX_TEXT_CHARACTERS],
        auth_method=login,
        server_version=words(server_version),
        extra=superuser_facts(is_superuser),
        **tls,
    )
