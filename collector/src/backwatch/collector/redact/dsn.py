"""Connection strings: without account, password and parameters."""

import re
from typing import Final

from backwatch.collector.redact.http import redact_url

_PAIR: Final = re.compile(r"\b([A-Za-z_]{1,32})\s*+=\s*+('(?:[^'\\]|\\.)*+'|[^\s]++)")
_SHOWN: Final = frozenset({"host", "hostaddr", "port", "dbname", "database", "sslmode", "server"})


def redact_dsn(text: str) -> str:
    """Where a connection string leads, and nothing else of it.

    >>> redact_dsn("postgresql://ada:secret@db.internal:5432/shop?sslmode=require")
    'postgresql://db.internal:5432/shop'
    >>> redact_dsn("host=db user=ada password=secret sslmode=verify-full")
    'host=db sslmode=verify-full'
    """
    text = text[:4_096]
    if "://" in text:
        return redact_url(text)
    pairs = (f"{name}={value[:128]}" for name, value in _PAIR.findall(text) if name.lower() in _SHOWN)
    return " ".join(pairs) or "?"
