"""The facts of NATS sessions: what the server says of itself in INFO, what the app asked for, and what came of it."""

from collections.abc import Iterable
from typing import Any, Final

from backwatch.collector.probes.toolkit.sockets import descriptor, peer, words
from backwatch.collector.probes.toolkit.tls_contexts import asked_by
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import read_tls_facts

PORT: Final = 4222
SECURE: Final = ("tls", "wss")
REFUSALS: Final = {
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
"""What the server says before it closes a connection, and our word for it: the rest may name subjects."""


def refusal(text: object) -> str:
    """Our word for what the server said, ``""`` where it is none of those.

    >>> refusal("nats: 'Authorization Violation'"), refusal("'Permissions Violation for Publish to \\"a.b\\"'")
    ('AuthorizationViolation', 'PermissionsViolation')
    """
    said = words(text, 200).lower().removeprefix("nats:").strip().strip("'")
    return next((word for start, word in REFUSALS.items() if said.startswith(start)), "")


def asked_for(client: Any, scheme: str) -> dict[str, Any]:
    """TLS as the app asked for it; without a word of it the driver does as the server demands."""
    context = client.options.get("tls")
    if context is not None:
        return {"requested": asked_by(context), "requested_explicit": True}
    if scheme in SECURE:
        return {"requested": "verify-full", "requested_explicit": True}
    return {"requested": "prefer", "requested_explicit": False}


def login(client: Any, uri: Any) -> dict[str, str]:
    """Account and method as the driver chooses them; no secret is looked at. A name given by a function is unknown."""
    options = client.options
    if not getattr(client, "_auth_configured", client._server_info.get("auth_required")):  # older ones ask the server
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
        return {"auth_method": "token"}  # which stands in the place of the name
    return {"auth_method": "clear-password", "account": words(uri.username)}


def _stream(transport: Any, name: str) -> Any:
    below = getattr(transport, "_io_writer", None) or getattr(transport, "_ws", None)
    if below is None or getattr(below, "transport", below) is None:  # a writer's is gone where TLS did not come about
        return None
    return below.get_extra_info(name)


def of(client: Any, uri: Any, *, stands: bool) -> tuple[Session, int]:
    """The session of a connection, and the descriptor to count its bytes.

    Args:
        stands: Whether the login is over; else only what is sure by now is told.
    """
    scheme = getattr(uri, "scheme", "") or ""
    facts: dict[str, Any] = {"address": words(uri.hostname, 255), "port": uri.port or PORT, **asked_for(client, scheme)}
    transport, info = client._transport, client._server_info
    socket = _stream(transport, "socket") if transport is not None else None
    facts.update(peer(socket))
    secure = _stream(transport, "ssl_object") if transport is not None else None
    if secure is not None:
        told = read_tls_facts(secure)
        if told.get("encrypted"):
            facts.update(told)
    elif stands:
        facts["encrypted"] = False
    if info:
        facts.update(login(client, uri))
        facts["server_version"] = words(info.get("version"), 40)
        facts["server_id"] = words(info.get("server_id"), 64)
    return Session(system="nats", **facts), descriptor(socket)


def belongs(subject: str, wanted: str) -> bool:
    """Whether a message with this subject is one that was subscribed to.

    >>> belongs("orders.new.7", "orders.*.7"), belongs("orders.new.7", "orders.>"), belongs("orders", "orders.>")
    (True, True, False)
    """
    parts, patterns = subject.split("."), wanted.split(".")
    if patterns[-1] == ">":
        patterns.pop()
        if len(parts) <= len(patterns):
            return False
    elif len(parts) != len(patterns):
        return False
    # Not remembered: no two messages may have the same subject.
    return all(pattern in ("*", part) for pattern, part in zip(patterns, parts, strict=False))


def addresses(info: Any) -> list[str]:
    """The servers that this one advertises."""
    urls = info.get("connect_urls") if isinstance(info, dict) else None
    return [one for one in urls if isinstance(one, str)] if isinstance(urls, Iterable) else []
