"""The facts of NATS sessions: the server's INFO, the app's options, and the connection itself."""

from collections.abc import Iterable
from typing import Any, Final

from backwatch.collector.probes.toolkit.sockets import descriptor, peer, words
from backwatch.collector.probes.toolkit.tls_contexts import requested_mode
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import read_tls_facts

PORT: Final = 4222
TLS_SCHEMES: Final = ("tls", "wss")
ERROR_NAMES: Final = {
    "authorization violation": "AuthorizationViolation",
    "authentication timeout": "AuthenticationTimeout",
    "authentication expired": "AuthenticationExpired",
    "user authentication expired": "AuthenticationExpired",
    "account authentication expired": "AuthenticationExpired",
    "permissions violation": "PermissionsViolation",
    "maximum connections exceeded": "MaximumConnectionsExceeded",
    "maximum payload violation": "MaximumPayloadViolation",
    "secure connection - tls required": "TlsRequired",
    "stale connection": "StaleConnection",
    "unknown protocol operation": "UnknownProtocolOperation",
}
"""Names of the server's errors by how their text begins: the rest may name subjects."""


def error_name(text: object) -> str:
    """Return the name of a server's error; ``""`` if it is unknown.

    >>> error_name("nats: 'Authorization Violation'"), error_name("'Permissions Violation for Publish to \\"a.b\\"'")
    ('AuthorizationViolation', 'PermissionsViolation')
    """
    message = words(text, 200).lower().removeprefix("nats:").strip().strip("'")
    return next((name for start, name in ERROR_NAMES.items() if message.startswith(start)), "")


def requested_facts(client: Any, uri: Any) -> dict[str, Any]:
    """Return address and TLS as the app asked for them. By default the driver does as the server demands."""
    facts: dict[str, Any] = {"address": words(uri.hostname, 255), "port": uri.port or PORT}
    context = client.options.get("tls")
    if context is not None:
        return {**facts, "requested": requested_mode(context), "requested_explicit": True}
    if uri.scheme in TLS_SCHEMES:
        return {**facts, "requested": "verify-full", "requested_explicit": True}
    return {**facts, "requested": "prefer", "requested_explicit": False}


def _login_facts(client: Any, uri: Any) -> dict[str, str]:
    """Return account and method as the driver chooses them, never the secret.

    The account is unknown if a function of the app gives it.
    """
    options = client.options
    # Older versions log in only if the server asks for it.
    if not getattr(client, "_auth_configured", client._server_info.get("auth_required")):
        return {"auth_method": "none"}
    if client._signature_cb is not None and "nonce" in client._server_info:
        if client._user_jwt_cb is not None:
            return {"auth_method": "jwt"}
        return {"auth_method": "nkey", "account": words(client._public_nkey)}
    if options.get("user") is not None and options.get("password") is not None:
        user = options["user"]
        return {"auth_method": "clear-password", "account": words(user) if isinstance(user, str) else ""}
    if options.get("token") is not None:
        return {"auth_method": "token"}
    if getattr(uri, "username", None) is None:
        return {"auth_method": "none"}
    if uri.password is None:
        return {"auth_method": "token"}  # in the place of the user name
    return {"auth_method": "clear-password", "account": words(uri.username)}


def stream_info(transport: Any, name: str) -> Any:
    """Return extra information about the stream below a transport; ``None`` if there is none."""
    below = getattr(transport, "_io_writer", None) or getattr(transport, "_ws", None)
    if below is None or getattr(below, "transport", below) is None:  # a writer loses it when TLS fails
        return None
    return below.get_extra_info(name)


def session_of(client: Any, uri: Any, *, is_open: bool) -> tuple[Session, int]:
    """Return the session of a connection, and the descriptor to count its bytes.

    Args:
        is_open: Whether the login is over; otherwise unencrypted is not certain yet.
    """
    facts = requested_facts(client, uri)
    transport, info = client._transport, client._server_info
    socket = stream_info(transport, "socket") if transport is not None else None
    facts.update(peer(socket))
    tls = stream_info(transport, "ssl_object") if transport is not None else None
    if tls is not None:
        established = read_tls_facts(tls)
        if established.get("encrypted"):
            facts.update(established)
    elif is_open:
        facts["encrypted"] = False
    if info:
        facts.update(_login_facts(client, uri))
        facts["server_version"] = words(info.get("version"), 40)
        facts["server_id"] = words(info.get("server_id"), 64)
    return Session(system="nats", **facts), descriptor(socket)


def matches_subject(subject: str, pattern: str) -> bool:
    """Return whether a subscription with this pattern receives this subject.

    >>> [matches_subject("orders.new.7", pattern) for pattern in ("orders.*.7", "orders.>")]
    [True, True]
    >>> matches_subject("orders", "orders.>")
    False
    """
    parts, patterns = subject.split("."), pattern.split(".")
    if patterns[-1] == ">":
        patterns.pop()
        if len(parts) <= len(patterns):
            return False
    elif len(parts) != len(patterns):
        return False
    # Not cached: no two messages may have the same subject.
    return all(wanted in ("*", part) for wanted, part in zip(patterns, parts, strict=False))


def advertised_servers(info: Any) -> list[str]:
    """Return the servers that an INFO advertises."""
    urls = info.get("connect_urls") if isinstance(info, dict) else None
    return [url for url in urls if isinstance(url, str)] if isinstance(urls, Iterable) else []
