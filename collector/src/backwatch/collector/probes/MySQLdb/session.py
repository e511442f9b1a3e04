"""Sessions of mysqlclient connections: the app's options, and what the C library knows."""

import dataclasses
from typing import Any, Final

from backwatch.collector.probes.MySQLdb.native import UNKNOWN, library
from backwatch.collector.probes.toolkit.dbapi import MAX_TEXT_CHARACTERS, build_session
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


def read_options(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the app's arguments of connect by their present names, without the secret."""
    options: dict[str, Any] = dict(zip(_POSITIONS, args, strict=False))
    options.update((_OLD_NAMES.get(name, name), value) for name, value in kwargs.items())
    return {name: value for name, value in options.items() if name not in _SECRETS}


def _requested_tls(options: dict[str, Any]) -> tuple[str, bool | None]:
    """Return the requested mode, and whether the app requested it. What was verified no library reveals."""
    mode, ssl = options.get("ssl_mode"), options.get("ssl")
    if isinstance(mode, str):
        return _MODES.get(mode, ""), True
    if ssl is not None and not hasattr(ssl, "keys"):
        return ("require" if ssl else "disable"), True  # since 2.2.4; before, the driver refuses it
    if ssl:
        return "prefer", True  # files alone demand nothing of the server
    if "read_default_file" in options or "read_default_group" in options:
        return "", None  # that file, which is not read here, may name a mode
    return "prefer", False


def describe_request(connection: Any, options: dict[str, Any]) -> Session:
    """Describe a connection that is not established."""
    port = options.get("port") or getattr(connection, "port", 0) or DEFAULT_PORT
    return build_session(
        "mysql", options.get("host") or "localhost", port,
        path=options.get("unix_socket"), tls=_requested_tls(options), database=options.get("database"),
        account=options.get("user"),
    )  # fmt: skip


def describe_connection(connection: Any, options: dict[str, Any], descriptor: int, extension: str) -> Session:
    """Describe an established connection.

    Args:
        extension: File of the driver's extension module.
    """
    session, peer = describe_request(connection, options), peer_of(descriptor)
    below = library(extension)
    native = UNKNOWN if below is None else below.read(connection)
    changes: dict[str, Any] = {**peer, "server_version": words(connection.get_server_info())}
    if peer.get("transport") == "unix":
        changes.update(address=session.address if session.transport == "unix" else peer.get("peer_address", ""), port=0)
    elif session.transport == "unix":
        # The library prefers the requested host to the path.
        changes.update(address=words(options.get("host"), MAX_TEXT_CHARACTERS), port=int(connection.port))
    if native.is_known:
        changes.update(encrypted=bool(native.cipher), cipher=words(native.cipher, 80))
        changes.update(tls_version=format_tls_version(words(native.version)) if native.cipher else "")
        changes.update(account=session.account or words(native.user, MAX_TEXT_CHARACTERS))
    return dataclasses.replace(session, **changes)
