"""HTTP APIs and object stores: whether the plaintext port leads to TLS."""

from typing import ClassVar

from backwatch.resource.inspections import Inspection, Link
from backwatch.resource.url import ServiceUrl


class HttpInspection(Inspection):
    """TLS has a port of its own."""

    schemes: ClassVar = ("http", "https")
    tls_schemes: ClassVar = ("https",)
    plaintext_port: ClassVar = 80
    is_public: ClassVar = True

    def accepts_plaintext(self, link: Link, url: ServiceUrl) -> str:
        """Return what a request without TLS and without a key gets."""
        host = url.host if url.host.isprintable() else ""
        link.send(f"HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        status = link.read_line().decode("ascii", "replace").split()
        if len(status) < 2 or not status[0].startswith("HTTP/"):
            return ""
        if status[1] in ("301", "302", "307", "308"):
            for _ in range(100):
                line = link.read_line().decode("ascii", "replace").strip().lower()
                if not line:
                    break
                if line.startswith("location:") and "https://" in line:
                    return ""
        return "" if status[1] in ("400", "403", "426") else f"the server answers without TLS (status {status[1][:3]})"
