"""Addresses and client options of a Kafka cluster, from its ``kafka://`` URL and the settings."""

import ipaddress
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from backwatch.collector.runtime.forks import hold_forks
from backwatch.collector.settings import SettingError, StreamSettings, without_secrets

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
DEFAULT_PORT: Final = 9092
_HOST: Final = re.compile(r"[^\s/?#\[\]]+|\[[0-9A-Fa-f:.%]+\]")


def parse_addresses(url: str) -> list[tuple[str, int]]:
    """Parse hosts and ports of ``kafka://host:9092,other:9092``.

    Raises:
        SettingError: The URL has no host, or it has a user, for which there are separate settings.
    """
    shown = f"BACKWATCH_STREAM_URL={without_secrets(url)!r}"
    rest = url.removeprefix("kafka://").rstrip("/")
    if "@" in rest:
        raise SettingError(
            f"{shown}: user and password belong to BACKWATCH_KAFKA_USERNAME and BACKWATCH_KAFKA_PASSWORD"
        )
    found: list[tuple[str, int]] = []
    for part in filter(None, rest.split(",")):
        host, colon, port = part.rpartition(":")
        if not colon or part.endswith("]"):
            host, port = part, str(DEFAULT_PORT)
        if not _HOST.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 65536:
            raise SettingError(f"{shown}: must be kafka://host:port")
        found.append((host.strip("[]"), int(port)))
    if not found:
        raise SettingError(f"{shown}: must be kafka://host:port")
    return found


def is_loopback(host: str) -> bool:
    """Return whether traffic to this host stays on the machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def client_options(url: str, settings: StreamSettings) -> dict[str, Any]:
    """Return the client's options for this cluster: brokers, TLS, login.

    Raises:
        SettingError: The settings contradict each other, or would send calls over a network unencrypted by default.
    """
    brokers = parse_addresses(url)
    protocol = settings.security_protocol.upper() or _implied_protocol(settings)
    if protocol not in ("", *PROTOCOLS):
        given = settings.security_protocol
        raise SettingError(f"BACKWATCH_KAFKA_SECURITY_PROTOCOL={given!r}: must be one of {', '.join(PROTOCOLS)}")
    if not protocol:
        away = next((host for host, _ in brokers if not is_loopback(host)), None)
        if away is not None:
            raise SettingError(
                f"BACKWATCH_STREAM_URL={without_secrets(url)!r}: {away} is not this machine; set"
                " BACKWATCH_KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL, or to PLAINTEXT if it shall be unencrypted"
            )
        protocol = "PLAINTEXT"
    options: dict[str, Any] = {
        "bootstrap_servers": [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in brokers],
        "security_protocol": protocol,
    }
    if protocol.endswith("SSL"):
        options["ssl_context"] = _context(settings)
    if protocol.startswith("SASL"):
        options.update(_login(settings))
    return options


def _implied_protocol(settings: StreamSettings) -> str:
    if settings.username:
        return "SASL_SSL"
    return "SSL" if settings.ca_file else ""


def _context(settings: StreamSettings) -> Any:
    """Return a TLS context. The client's own depends on its version, and older versions verify less."""
    try:
        changed_ns = Path(settings.ca_file).stat().st_mtime_ns if settings.ca_file else 0
        return _make_context(settings.ca_file, changed_ns)
    except OSError as error:
        raise SettingError(f"BACKWATCH_KAFKA_CA_FILE={settings.ca_file!r}: {error.strerror or error}") from None


@lru_cache(maxsize=1)
def _make_context(ca_file: str, changed_ns: int) -> Any:  # noqa: ARG001  a file that has changed is read anew
    # Cached: loading the system's authorities takes 1 MB and 60 ms of CPU, at each try of an unavailable broker.
    import ssl

    with hold_forks():
        context = ssl.create_default_context(cafile=ca_file or None)
    context.sslsocket_class = _never_cut(context.sslsocket_class)
    return context


def _never_cut(kind: Any) -> Any:
    """Return a subclass in which no fork interrupts a step of the handshake; the client never blocks in a step."""

    class ForkSafeSocket(kind):
        def do_handshake(self, *args: Any, **kwargs: Any) -> None:
            with hold_forks():
                super().do_handshake(*args, **kwargs)

    return ForkSafeSocket


def _login(settings: StreamSettings) -> dict[str, str]:
    if settings.sasl_mechanism not in MECHANISMS:
        given = settings.sasl_mechanism
        raise SettingError(f"BACKWATCH_KAFKA_SASL_MECHANISM={given!r}: must be one of {', '.join(MECHANISMS)}")
    if not settings.username:
        raise SettingError(f"BACKWATCH_KAFKA_USERNAME={settings.username!r}: SASL needs a user")
    return {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.username,
        "sasl_plain_password": settings.password,
    }
