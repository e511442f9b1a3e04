"""Connection strings: the server's address, never account or secret."""

import re
from typing import Final
from urllib.parse import urlsplit

from backwatch.collector.statements.spec import split_words

_KEPT: Final = split_words(
    """
    host hostaddr port dbname database sslmode server data_source initial_catalog driver unix_socket encrypt
    """
)
_PAIR: Final = re.compile(r"([A-Za-z_][A-Za-z_ ]{0,40}?)\s*=\s*('(?:[^'\\]|\\.)*+'|\"[^\"]*+\"|\{[^}]*+\}|[^\s;]*+)")
_PLAIN: Final = re.compile(r"[\w.:/\\\-\[\],()]{1,255}")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,40}")
_NAME: Final = re.compile(r"/[\w.-]{0,63}")


def redact_dsn(text: str) -> str:
    """Return a connection string without user-info and options; ``?`` if its form is unknown.

    >>> redact_dsn("postgresql://ann:secret@db.example.com:5432/shop?password=x")
    'postgresql://db.example.com:5432/shop'
    >>> redact_dsn("host=db user=ann password='s e' dbname=shop")
    'host=db dbname=shop'
    """
    text = text[:8192].strip()
    if "://" in text[:64]:
        return _url(text)
    pairs = [(name.strip().lower().replace(" ", "_"), value) for name, value in _PAIR.findall(text)]
    kept = [f"{name}={value}" for name, value in pairs if name in _KEPT and _PLAIN.fullmatch(value)]
    return (";" if ";" in text else " ").join(kept) or "?"


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # a password with a bracket, an invalid port
        return "?"
    # A "/" or "?" in an unquoted password ends the authority early; a later "@" shows that.
    after = text.partition("://")[2]
    if not _SCHEME.fullmatch(parts.scheme) or "@" in after[after.find("@", 0, len(parts.netloc)) + 1 :]:
        return "?"
    shown = f"[{host}]" if ":" in host else host
    path = parts.path if _NAME.fullmatch(parts.path) else ""
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "") + path
