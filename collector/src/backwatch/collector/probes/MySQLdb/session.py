"""What a mysqlclient connection says of its session: what the app asked for, and what its C library knows."""

import dataclasses
from typing import Any, Final

from backwatch.collector.probes.families.mysql.observer import MAX_TEXT
from backwatch.collector.probes.MySQLdb.native import UNKNOWN, library
from backwatch.collector.probes.toolkit.peers import peer_of
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import format_tls_version

DEFAULT_PORT: Final = 3306
_POSITIONS: Final[tuple[str, ...]] = ("host", "user", "password", "database", "port", "unix_socket")
_OLD_NAMES: Final = {"passwd": "password", "db": "database"}
_SECRETS: Final = frozenset(("password", "passwd"))
_MODES: Final = {
    "DISABLED": "disable", "PREFERRED": "prefer", "REQUIRED": "require", "VERIFY_CA": "verify-ca",
    "VERIFY_IDENTITY": "verify-full",
}  # fmt: skip


def said(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What the app said at connect, by the names that are usual now; never the secret."""
    told: dict[str, Any] = dict(zip(_POSITIONS, args, strict=False))
    told.update((_OLD_NAMES.get(name, name), value) for name, value in kwargs.items())
    return {name: value for name, value in told.items() if name not in _SECRETS}


def requested(options: dict[str, Any]) -> tuple[str, bool | None]:
    """What TLS was asked for, and whether the app itself did: never what was verified, which nobody tells."""
    mode, ssl = options.get("ssl_mode"), options.get("ssl")
    if isinstance(mode, str):
        return _MODES.get(mode, ""), True
    if ssl is not None and not hasattr(ssl, "keys"):
        return ("require" if ssl else "disable"), True  # since 2.2.4; before, the driver refuses it
    if ssl:
        return "prefer", True  # files alone demand nothing of the server
    if "read_default_file" in options or "read_default_group" in options:
        return "", None  # a file that we do not read may say it
    return "prefer", False


def asked(connection: Any, options: dict[str, Any]) -> Session:
    """What is known of a connection that does not stand."""
    path = words(options.get("unix_socket"), MAX_TEXT)
    port = options.get("port") or getattr(connection, "port", 0) or DEFAULT_PORT
    mode, explicit = requested(options)
    return Session(
        system="mysql",
        address=path or words(options.get("host"), MAX_TEXT) or "localhost",
        port=0 if path or not isinstance(port, int) else port,
        namespace=words(options.get("database"), MAX_TEXT),
        transport="unix" if path else "tcp",
        requested=mode,
        requested_explicit=explicit,
        account=words(options.get("user"), MAX_TEXT),
    )


def told(connection: Any, options: dict[str, Any], descriptor: int, extension: str) -> Session:
    """What is known of a connection that stands.

    Args:
        extension: File of the driver's extension module.
    """
    session, peer = asked(connection, options), peer_of(descriptor)
    native, below = UNKNOWN, library(extension)
    if below is not None:
        native = below.ask(connection)
    changed: dict[str, Any] = {**peer, "server_version": words(connection.get_server_info())}
    if peer.get("transport") == "unix":
        changed.update(address=session.address if session.transport == "unix" else peer.get("peer_address", ""), port=0)
    elif session.transport == "unix":
        # The library prefers the host that was asked for to the path.
        changed.update(address=words(options.get("host"), MAX_TEXT), port=int(connection.port))
    if native.known:
        changed.update(encrypted=bool(native.cipher), cipher=words(native.cipher, 80))
        changed.update(tls_version=format_tls_version(words(native.version)) if native.cipher else "")
        changed.update(account=session.account or words(native.user, MAX_TEXT))
    return dataclasses.replace(session, **changed)
