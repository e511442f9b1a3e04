"""memcached: the version, which every server gives without a login."""

from typing import ClassVar

from backwatch.resource.inspections import Account, Inspection, Link
from backwatch.resource.resource import Resource
from backwatch.resource.url import ServiceUrl


class MemcachedInspection(Inspection):
    """TLS has a port of its own; most servers have neither TLS nor accounts."""

    schemes: ClassVar = ("memcached", "memcacheds")
    tls_schemes: ClassVar = ("memcacheds",)
    plaintext_port: ClassVar = 11211

    def accepts_plaintext(self, link: Link, url: ServiceUrl) -> str:
        """Return whether the server answers at all."""
        del url
        return "the server takes commands without TLS" if _version(link) else ""

    def needs_no_login(self, link: Link, url: ServiceUrl) -> str:
        """Return whether the server answers without a login: usual, so only its place in the network protects it."""
        del url
        return "the server serves every client that reaches it" if _version(link) else ""

    def read_account(self, resource: Resource) -> Account:
        """Ask for the version."""
        client = resource.client()
        try:
            version = client.version()
        finally:
            client.close()
        return Account(version=version.decode("ascii", "replace") if isinstance(version, bytes) else str(version))


def _version(link: Link) -> bytes:
    link.send(b"version\r\n")
    answer = link.read_line()
    return answer if answer.startswith(b"VERSION ") else b""
