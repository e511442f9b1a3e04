"""HTTP: method, host and path template. No query, no fragment, no account, and of a path no segment that could be a value."""

import re
from typing import Final
from urllib.parse import urlsplit

LONGEST: Final = 512
SEGMENTS: Final = 16

_HOST: Final = re.compile(r"[A-Za-z0-9._~:\[\]-]{1,255}")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_.~-]{0,39}")
_VERSION: Final = re.compile(r"[vV]\d{1,3}(?:\.\d{1,3}){0,2}")
_METHOD: Final = re.compile(r"[A-Za-z]{1,20}")


def statement(method: str, url: str) -> str:
    """Method, host and path template.

    >>> statement("get", "https://ada:secret@api.example:8443/v1/users/4711/mails?key=secret")
    'GET api.example:8443/v1/users/?/mails'
    """
    host, path = _parts(url)
    told = method.upper() if _METHOD.fullmatch(method or "") else "?"
    return f"{told} {host}{template(path)}"[:LONGEST]


def template(path: str) -> str:
    """A path with every segment that is no plain word as ``?``.

    >>> template("/files/9f86d081884c7d65/raw"), template("")
    ('/files/?/raw', '/')
    """
    segments = path[:2_048].split("/")
    told = [one if not one or _WORD.fullmatch(one) or _VERSION.fullmatch(one) else "?" for one in segments[: SEGMENTS + 1]]
    if len(segments) > SEGMENTS + 1:
        told.append("…")
    return "/".join(told) or "/"


def redact_url(url: str) -> str:
    """A URL without account, query and fragment, its path as a template.

    >>> redact_url("https://ada:secret@api.example/reset/8d1f?token=secret#x")
    'https://api.example/reset/?'
    """
    scheme, separator, _ = url.partition("://")
    host, path = _parts(url)
    shown = scheme.lower() if separator and scheme.isalpha() and len(scheme) <= 10 else ""
    return f"{shown + '://' if shown else ''}{host}{template(path)}"[:LONGEST]


def _parts(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url[:4_096])
    except ValueError:
        return "?", ""
    host = parts.netloc.rpartition("@")[2].lower()
    return (host if not host or _HOST.fullmatch(host) else "?"), parts.path
