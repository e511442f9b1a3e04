"""What goes by on one mail connection: connect, starttls, login and send are calls; what EHLO offers is a fact."""

import re
from collections.abc import Iterable
from typing import Any, Final

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.lines.calls import LineWatch, number_of
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.redaction import smtp as redact
from backwatch.collector.runtime.guard import never_breaks_the_host

MAX_RECIPIENTS: Final = 1_000
_BANNER: Final = re.compile(r"[^;]{0,120}")
_SERIAL: Final = re.compile(r"(?=[^.]*\d)[A-Za-z0-9_+/=-]{12,}")
"""A word of a banner that is new with every connection (Gmail's, for one); a host name has dots."""
_IN_CLEAR: Final = frozenset(("PLAIN", "LOGIN"))


class Watch(LineWatch):
    """SMTP's connections: what EHLO was answered is a fact, and logging in tries one method after the other."""

    def __init__(self, recorder: Recorder, tls_class: Any) -> None:
        super().__init__(recorder, "smtp", 0, tls_class, code_of)

    def place(self, client: Any, host: object, port: object) -> tuple[str, int]:
        """Where a connection leads: the host may bear the port."""
        address, number = words(host or getattr(client, "_host", "") or "localhost", 255), number_of(port)
        if not number and address.find(":") == address.rfind(":") > 0:
            address, _, tail = address.rpartition(":")
            number = int(tail) if tail.isdigit() else 0
        return address, number or int(getattr(client, "default_port", 0) or 0)

    def offers(self, client: Any, encrypted: bool | None) -> bool | None:
        """Whether EHLO was answered with STARTTLS; before TLS only: inside TLS a server does not offer it again."""
        if encrypted is not False or getattr(client, "ehlo_resp", None) is None:
            return None
        return "starttls" in (getattr(client, "esmtp_features", None) or {})

    @never_breaks_the_host
    def greeted(self, client: Any) -> None:
        """EHLO or HELO was answered."""
        if self.active:
            self._look(client, self.link(client), {})

    @never_breaks_the_host
    def method(self, client: Any, mechanism: object) -> None:
        """A login method is tried; the last one is the one that worked."""
        word = words(mechanism, 30).upper()
        self.link(client).method = "clear-password" if word in _IN_CLEAR else word.lower()

    def method_of(self, client: Any) -> str:
        """The login method tried last."""
        link = self._links.get(client)
        return link.method if link is not None else ""


@never_breaks_the_host
def answered(_: object, reply: Any) -> dict[str, Any]:
    """What the server said when the connection was made: its banner, and its code where that is a refusal."""
    told: dict[str, Any] = {"server_version": banner_text(reply[1])}
    return told if reply[0] == 220 else {**told, "error": words(reply[0], 10)}


def banner_text(banner: object) -> str:
    """The server's greeting without what differs from one connection to the next.

    >>> banner_text(b"mx.example.net ESMTP a640c23a62f3a-b7654fd430csi2 - gsmtp")
    'mx.example.net ESMTP - gsmtp'
    >>> banner_text(b"mail.example.net ESMTP Sendmail 8.17; Tue, 25 Nov 2025 10:00:00 GMT")
    'mail.example.net ESMTP Sendmail 8.17'
    """
    found = _BANNER.match(words(banner, 200))
    kept = (found[0] if found else "").split()
    return " ".join(word for word in kept if not _SERIAL.fullmatch(word))


def code_of(error: BaseException) -> str:
    """The server's reply code in an error of smtplib."""
    code = getattr(error, "smtp_code", None)
    return str(code) if isinstance(code, int) and 0 < code < 1000 else ""


@never_breaks_the_host
def send_text(recipients: object) -> tuple[str, int]:
    """Statement of a message by its recipients, and how many they are."""
    if isinstance(recipients, (str, bytes)):
        listed: list[object] = [recipients]
    elif isinstance(recipients, (list, tuple, set, frozenset, dict)):
        listed = list(recipients)
    else:
        return "", -1  # an iterator that we must not use up
    return redact.to_statement([words(one, 320) for one in _first(listed)]), len(listed)


def _first(listed: list[object]) -> Iterable[object]:
    return listed[:MAX_RECIPIENTS]
