"""The greeting of a server, as a version that is the same for all connections."""

import re
from typing import Final

from backwatch.collector.probes.toolkit.sockets import words

_BANNER: Final = re.compile(r"[^;]{0,120}")
_SERIAL: Final = re.compile(r"(?=[^.]*\d)[A-Za-z0-9_+/=-]{12,}")
"""A word of a banner that is new with every connection (Gmail's, for one); a host name has dots."""


def banner_text(banner: object) -> str:
    """Return the server's greeting without the words that change from one connection to the next.

    >>> banner_text(b"mx.example.net ESMTP a640c23a62f3a-b7654fd430csi2 - gsmtp")
    'mx.example.net ESMTP - gsmtp'
    >>> banner_text(b"mail.example.net ESMTP Sendmail 8.17; Tue, 25 Nov 2025 10:00:00 GMT")
    'mail.example.net ESMTP Sendmail 8.17'
    """
    found = _BANNER.match(words(banner, 200))
    kept = (found[0] if found else "").split()
    return " ".join(word for word in kept if not _SERIAL.fullmatch(word))
