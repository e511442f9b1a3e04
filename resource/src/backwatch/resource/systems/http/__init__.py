"""HTTP APIs. What its client libraries have in common: where a request may go, and what follows a redirect."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from backwatch.resource.opening import TLS_FIX, Attachment
from backwatch.resource.plain_text import shorten
from backwatch.resource.systems import Driver

PORTS: Final = {"https": 443, "http": 80}
SAFE_HEADERS: Final = frozenset({
    "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection", "content-encoding",
    "content-length", "content-type", "date", "host", "if-match", "if-modified-since", "if-none-match", "range",
    "transfer-encoding", "user-agent",
})  # fmt: skip
"""Headers that may follow a redirect to another origin. Any other one may be a key."""
BOUNDED_ENCODINGS: Final = ("identity", "gzip", "x-gzip", "deflate")
"""Encodings of at most a thousandfold size, which any version of a library unpacks piece by piece."""
READING_METHODS: Final = ("GET", "HEAD", "OPTIONS")
MAX_PIECE_BYTES: Final = 1 << 16


class HttpDriver(Driver):
    """Schemes and ports."""

    system: ClassVar = "http"
    schemes: ClassVar = ("https", "http")
    default_port: ClassVar = 443
    ports: ClassVar = PORTS
    cannot: ClassVar = {
        "auth": "HTTP services take a password or a token as it is, inside TLS",
        "min_version": "HTTP services announce no version",
        "max_rows": "replies are no rows; max_reply_bytes limits them",
        "formats": "hands out bodies as bytes; the app chooses how to read them",
    }  # fmt: skip


def base_url(attachment: Attachment) -> str:
    """Return the URL that relative ones are joined to, without login and parameters."""
    return replace(attachment.url, user=None, password=None).rebuild(query={})


def check_base(attachment: Attachment) -> None:
    """Refuse a URL in plaintext or one that leads where it must not, before any request."""
    attachment.check_places()
    if attachment.url.scheme == "http" and attachment.needs_tls:
        attachment.refuse("tls", "the URL begins with http://", TLS_FIX)


def judge_target(attachment: Attachment, scheme: str, host: str, port: int | None) -> None:
    """Refuse a request, a redirect's too, that goes to a foreign host, port or scheme, or to plaintext.

    Args:
        attachment: Of the resource.
        scheme, host, port: Of the URL, as the library read it.
    """
    scheme = scheme.lower()
    if scheme not in PORTS:
        attachment.refuse(
            "hosts", f"a request goes to a URL with {shorten(scheme, 20)}:", "Fetch over https:// alone"
        )  # fmt: skip
        return
    attachment.check_endpoint(host, port or PORTS[scheme], "a request or redirect goes to")
    if scheme == "http" and (attachment.url.scheme == "https" or attachment.needs_tls):
        attachment.refuse("tls", f"a request or redirect goes to http://{shorten(host, 80)}", TLS_FIX)


def judge_method(attachment: Attachment, method: str | None) -> None:
    """Refuse a request that may change something, if the resource is read-only."""
    if attachment.policy.flag("read_only") and (method or "").upper() not in READING_METHODS:
        attachment.refuse(
            "read_only", f"a request by {shorten(method or 'no method', 20)}, and the resource is read-only",
            "If the app is meant to write, set read_only = false",
        )  # fmt: skip


def judge_encodings(attachment: Attachment, values: Sequence[str], *, bounded: bool) -> None:
    """Refuse a body that may unpack to more than can be counted on the way.

    Args:
        attachment: Of the resource.
        values: Encodings of ``Content-Encoding``.
        bounded: Whether the library unpacks any encoding piece by piece.
    """
    packed = [value for value in (each.strip().lower() for each in values) if value and value != "identity"]
    if len(packed) > 1:
        attachment.refuse(
            "max_reply_bytes", f"a body is packed {len(packed)} times ({', '.join(packed)})",
            "Let the service pack it once",
        )  # fmt: skip
    elif packed and not bounded and packed[0] not in BOUNDED_ENCODINGS:
        attachment.refuse(
            "max_reply_bytes", f"a body is packed with {packed[0]}, which was not asked for",
            "Let the service respect Accept-Encoding",
        )  # fmt: skip


def judge_length(attachment: Attachment, length: str | None) -> None:
    """Refuse a body whose announced length is above the bound, before it is read."""
    limit = attachment.policy.count("max_reply_bytes")
    if length is not None and length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > limit):
        attachment.refuse(
            "max_reply_bytes", f"a reply announces {shorten(length, 30)} bytes, and {limit} are allowed",
            "Raise max_reply_bytes if replies of this size are meant",
        )  # fmt: skip


def unsafe_headers(names: Any) -> list[str]:
    """Return the headers that must not follow a redirect to another origin."""
    return [name for name in names if name.lower() not in SAFE_HEADERS]
