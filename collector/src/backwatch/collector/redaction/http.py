"""HTTP: method, host and the template of the path; no values, no user-info, no query, no fragment."""

import re
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

MAX_SEGMENTS: Final = 12
MAX_HOST: Final = 255
MAX_TARGET: Final = 8192
MAX_PARAMETERS: Final = 64

_METHOD: Final = re.compile(r"[A-Za-z]{1,16}")
_WORD: Final = re.compile(
    r"(?:v[0-9]{1,3}(?:\.[0-9]{1,2})?|_?[A-Za-z]+(?:[._~-][A-Za-z]+)*[0-9]?(?:\.[a-z]{1,5}[0-9]?)?)"
)
_MIXED: Final = re.compile(r"[a-z][A-Z]")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{8,}")
_HOST: Final = re.compile(r"[\w.:\[\]-]{1,255}")
_BETWEEN: Final = re.compile("[&;]")
_HINT: Final = re.compile(r"key|token|secret|auth|pass|pwd|jwt|app_?id")
_SECRET: Final = re.compile(
    r"(?:.*[_.\-\[])?(?:(?:api|app|application|auth|access|secret|subscription)[_-]?key|client[_-]?secret|jwt"
    r"|(?:api|access|auth|bearer|private|refresh|id|user|job)[_-]?token|passw(?:or)?d|passphrase)\]?"
)
"""Names of parameters whose value is always a secret."""
_PERHAPS: Final = re.compile(r"key|token|secret|auth|pass|pwd|app_?id")
"""Ambiguous names of parameters whose value is a secret if it looks random."""
_NONE: Final = frozenset(("true", "false", "null", "none", "required", "changed"))
_GOOGLE: Final = re.compile(r"AIza[\w-]{20}")
_RUN: Final = re.compile(r"[A-Za-z0-9]{16,}")
_HEXADECIMAL: Final = re.compile(r"[0-9a-fA-F]{20,}")
_KINDS: Final = tuple(map(re.compile, ("[0-9]", "[a-z]", "[A-Z]")))
_DEFAULT_PORT: Final = {"http": 80, "https": 443}


def to_statement(method: str, url: str) -> str:
    """Return the statement of a request: method, host (and port, if it is not the default) and path template.

    >>> to_statement("get", "https://ann:secret@api.example.com/v1/users/42/orders?token=x")
    'GET api.example.com/v1/users/?/orders'
    """
    verb = method.upper() if _METHOD.fullmatch(method) else "?"
    return f"{verb} {_redact_location(_split(url))}"


def redact_url(url: str) -> str:
    """Return the URL as ``url.full`` may contain it: scheme, host, port and path template.

    >>> redact_url("https://hooks.example.com/services/T0001/B0002/aGVsbG8gd29ybGQ?x=1#y")
    'https://hooks.example.com/services/?/?/?'
    """
    parts = _split(url)
    scheme = parts.scheme if parts.scheme.isascii() and parts.scheme.isalpha() else ""
    return (f"{scheme}://" if scheme else "") + _redact_location(parts)


def carries_secret(target: str) -> bool:
    """Return whether a target's query contains a key, token or password, by name and appearance.

    Signatures do not count: most are valid for one request, for a limited time. At most ``MAX_PARAMETERS`` are read.

    >>> carries_secret("/v1/rates?base=EUR&api_key=hunter2"), carries_secret("/maps?key=AIzaSyA1b2C3d4E5f6G7h8I9")
    (True, True)
    >>> carries_secret("/items?key=colour&page_token=2&X-Amz-Signature=9f86d081884c7d65"), carries_secret("/api_key=x")
    (False, False)
    """
    query = target[:MAX_TARGET].partition("#")[0].partition("?")[2]
    if not query or _HINT.search(query.lower()) is None:
        return False
    parameters = _BETWEEN.split(query, MAX_PARAMETERS)[:MAX_PARAMETERS]
    return any(_is_secret(*parameter.partition("=")[::2]) for parameter in parameters)


def _is_secret(name: str, value: str) -> bool:
    if len(value) < 4:
        return False
    name = name[-40:].lower()
    if _SECRET.fullmatch(name):
        return value.lower() not in _NONE
    if not _PERHAPS.fullmatch(name):
        return False
    value = unquote(value[:512])
    return _GOOGLE.search(value) is not None or any(_is_random(run, name) for run in _RUN.findall(value))


def _is_random(run: str, name: str) -> bool:
    digits, small, capital = (kind.search(run) is not None for kind in _KINDS)
    if digits and small and capital:
        return True
    # Apps often use a digest as the name of an object.
    return digits and (small or capital) and name != "key" and _HEXADECIMAL.fullmatch(run) is not None


def to_path_template(path: str) -> str:
    """Return the path with segments that look like values replaced by ``?``.

    >>> to_path_template("/users/3f2c1a9e-0000-4000-8000-000000000000/avatar.png")
    '/users/?/avatar.png'
    """
    return _path(path.partition("?")[0].partition("#")[0])


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url[:MAX_TARGET])
    except ValueError:  # for example an unclosed bracket: no part can be trusted
        return SplitResult("", "", "/?", "", "")


def _redact_location(parts: SplitResult) -> str:
    """Return host and path.

    A ``/`` or ``?`` in an unquoted password ends the authority early: what seems to be host and port is the user and
    the password's beginning, and what follows is none of the path.
    """
    host = _host(parts)
    behind = parts.path or parts.query + parts.fragment
    torn = ":" in parts.netloc and "@" not in parts.netloc and "@" in behind and not parts.netloc.startswith("[")
    odd = host == "?" and not parts.netloc.rpartition(":")[2].isdigit()
    return "?/?" if torn or odd else host + _path(parts.path)


def _host(parts: SplitResult) -> str:
    try:
        host, port = (parts.hostname or "")[:MAX_HOST], parts.port
    except ValueError:
        return "?"
    if host and not _HOST.fullmatch(host):
        return "?"
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None or port == _DEFAULT_PORT.get(parts.scheme) else f"{shown}:{port}"


def _path(path: str) -> str:
    segments = path.split("/")
    shown = [redact_segment(segment) for segment in segments[: MAX_SEGMENTS + 1]]
    if len(segments) > MAX_SEGMENTS + 1:
        shown.append("…")
    return "/".join(shown) or "/"


def redact_segment(segment: str) -> str:
    """Return the segment if it is a word of the interface; ``?`` if it looks like a value."""
    segment = segment.partition(";")[0]
    if not segment:
        return ""
    if len(segment) > 32 or not _WORD.fullmatch(segment) or _HEX.fullmatch(segment):
        return "?"
    plain = segment.replace("-", "").replace("_", "").replace(".", "")
    longest = max(map(len, re.split(r"[._~-]", segment)))
    random = len(plain) >= 16 and longest >= 16 and (segment.isupper() or len(_MIXED.findall(segment)) > 3)
    return "?" if random or longest > 24 else segment
