"""Mail: EHLO, STARTTLS, and which logins are offered before it."""

from typing import ClassVar

from backwatch.resource.inspections import PROBE_NAME, Inspection, Link
from backwatch.resource.url import ServiceUrl


class SmtpInspection(Inspection):
    """TLS begins after STARTTLS, or has a port of its own."""

    schemes: ClassVar = ("smtp", "smtps", "submission")
    tls_schemes: ClassVar = ("smtps",)
    plaintext_port: ClassVar = 25
    is_public: ClassVar = True

    def start_tls(self, link: Link) -> bool:
        """Send STARTTLS if it is offered."""
        if "STARTTLS" not in _list_capabilities(link):
            return False
        link.send(b"STARTTLS\r\n")
        return _read_answer(link)[0].startswith("220")

    def accepts_plaintext(self, link: Link, url: ServiceUrl) -> str:
        """Return which logins are offered without TLS."""
        del url
        logins = [line for line in _list_capabilities(link) if line.startswith("AUTH")]
        return f"the server takes logins without TLS ({logins[0][:80]})" if logins else ""


def _list_capabilities(link: Link) -> list[str]:
    _read_answer(link)
    link.send(f"EHLO {PROBE_NAME}\r\n".encode())
    return [line[4:].strip().upper() for line in _read_answer(link)]


def _read_answer(link: Link) -> list[str]:
    lines: list[str] = []
    while len(lines) < 100:
        lines.append(link.read_line().decode("ascii", "replace"))
        if lines[-1][3:4] != "-":
            break
    return lines
