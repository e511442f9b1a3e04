"""Error codes of PostgreSQL, also where libpq passes on only the server's message."""

import re
from typing import Final

from backwatch.collector.probes.toolkit.dbapi import status_facts
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.runtime.record import Facts
from backwatch.collector.session.tls import TlsFacts

MAX_MESSAGE_CHARACTERS: Final = 4_000
_REFUSALS: Final = (
    ("28P01", re.compile(r"FATAL: +password authentication failed for user")),
    (
        "28000",
        re.compile(r"FATAL: +(?:\w{1,20} authentication failed for user|no pg_hba\.conf entry|pg_hba\.conf rejects)"),
    ),
    ("28000", re.compile(r'FATAL: +role ".{0,200}?" (?:does not exist|is not permitted)', re.DOTALL)),
)
"""Messages of a refused login, by their SQLSTATE."""


def sqlstate_facts(error: Error) -> Facts:
    """Return the SQLSTATE of a driver's error (asyncpg, psycopg)."""
    return status_facts(getattr(error, "sqlstate", None))


def refused_login_facts(message: str) -> Facts:
    """Return the SQLSTATE of a refused login, where libpq passes on only the server's message in English.

    >>> refused_login_facts('connection to server at "::1", port 5432 failed: FATAL:  role "x" does not exist')[0][1]
    '28000'
    """
    return status_facts(next((code for code, text in _REFUSALS if text.search(message[:MAX_MESSAGE_CHARACTERS])), None))


def refused_tls(message: str) -> TlsFacts:
    """Return "not encrypted" where libpq reports a server without TLS; a failed connection reveals nothing else."""
    return {"encrypted": False} if "server does not support SSL" in message else {}
