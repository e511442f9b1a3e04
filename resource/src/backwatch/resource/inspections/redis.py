"""Redis and Valkey: PING before any login."""

from typing import Any, ClassVar

from backwatch.resource.inspections import Account, Inspection, Link
from backwatch.resource.resource import Resource
from backwatch.resource.url import ServiceUrl


class RedisInspection(Inspection):
    """TLS has a port of its own."""

    schemes: ClassVar = ("redis", "rediss", "valkey", "valkeys")
    tls_schemes: ClassVar = ("rediss", "valkeys")
    plaintext_port: ClassVar = 6379
    default_logins: ClassVar = (("default", "redis"), ("default", "password"), ("default", "foobared"))

    def accepts_plaintext(self, link: Link, url: ServiceUrl) -> str:
        """Return whether the server answers at all."""
        del url
        return "the server takes commands and passwords without TLS" if _ping(link) else ""

    def needs_no_login(self, link: Link, url: ServiceUrl) -> str:
        """Return whether the server answers PING without a login."""
        del url
        return "the server serves every client without a password" if _ping(link).startswith(b"+PONG") else ""

    def read_account(self, resource: Resource) -> Account:
        """Ask who one is, and what that account may do."""
        client = resource.client()
        try:
            info: Any = client.info("server")
            try:
                name = _text(client.execute_command("ACL", "WHOAMI"))
                rights = _pairs(client.execute_command("ACL", "GETUSER", name))
            except Exception:  # noqa: BLE001  before version 6, or ACL is not allowed
                return Account(version=str(info.get("redis_version", "")))
            commands, flags = _text(rights.get("commands", "")), [_text(flag) for flag in rights.get("flags", [])]
            powers = [
                word for word in ("+@all", "+@admin", "+@dangerous", "+config", "+module") if word in commands.split()
            ]
            return Account(
                name=name, version=str(info.get("redis_version", "")), powers=powers, password_free="nopass" in flags
            )
        finally:
            client.close()


def _ping(link: Link) -> bytes:
    link.send(b"*1\r\n$4\r\nPING\r\n")
    answer = link.read_line()
    return answer if answer[:1] in (b"+", b"-") else b""


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _pairs(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {_text(key): each for key, each in value.items()}
    listed = list(value or ())
    return {_text(key): each for key, each in zip(listed[::2], listed[1::2], strict=False)}
