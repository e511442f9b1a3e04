"""Statements that are never news: transactions, settings of a session, and what drivers ask when they connect.

A driver, a pool or an object-relational mapper sends them by itself, at the first commit or the first reconnection of
a process, from the call site that comes first.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.vocabulary import (
    CLOSING,
    COMMA,
    FIRST_NAME,
    OPENING,
    SEMICOLON,
    K,
    O,
    is_constant,
)
from backwatch.detector.statements.structure.word_ids import ids_of, is_in

_TRANSACTION: Final = ids_of(
    "BEGIN COMMIT ROLLBACK SAVEPOINT RELEASE ABORT SAVE END DEALLOCATE DISCARD RESET CLOSE UNLISTEN"
)
"""First words of statements that end or begin something of the session alone."""
_SETTING: Final = ids_of("SET")[0]
_SETTINGS: Final = ids_of(
    """
    NAMES AUTOCOMMIT @@AUTOCOMMIT SQL_MODE @@SQL_MODE TRANSACTION CHARACTERISTICS TIME TIME_ZONE @@TIME_ZONE TIMEZONE
    DATESTYLE CLIENT_ENCODING STATEMENT_TIMEOUT LOCK_TIMEOUT IDLE_IN_TRANSACTION_SESSION_TIMEOUT SEARCH_PATH
    APPLICATION_NAME EXTRA_FLOAT_DIGITS BYTEA_OUTPUT INTERVALSTYLE STANDARD_CONFORMING_STRINGS CLIENT_MIN_MESSAGES JIT
    TRANSACTION_ISOLATION TX_ISOLATION DEFAULT_TRANSACTION_ISOLATION DEFAULT_TRANSACTION_READ_ONLY CONSTRAINTS CHARSET
    MAX_STATEMENT_TIME MAX_EXECUTION_TIME WAIT_TIMEOUT INNODB_LOCK_WAIT_TIMEOUT NET_WRITE_TIMEOUT NET_READ_TIMEOUT
    CHARACTER CHARACTER_SET_CLIENT CHARACTER_SET_CONNECTION CHARACTER_SET_RESULTS COLLATION_CONNECTION SQL_AUTO_IS_NULL
    FOREIGN_KEY_CHECKS UNIQUE_CHECKS GROUP_CONCAT_MAX_LEN SQL_SAFE_UPDATES SQL_QUOTE_SHOW_CREATE NOCOUNT XACT_ABORT
    ARITHABORT QUOTED_IDENTIFIER ANSI_DEFAULTS ANSI_NULLS ANSI_NULL_DFLT_ON ANSI_PADDING ANSI_WARNINGS DATEFIRST
    DATEFORMAT LANGUAGE IMPLICIT_TRANSACTIONS CONCAT_NULL_YIELDS_NULL NUMERIC_ROUNDABORT CURSOR_CLOSE_ON_COMMIT TEXTSIZE
    ROWCOUNT IDENTITY_INSERT NLS_DATE_FORMAT NLS_TIMESTAMP_FORMAT NLS_TIMESTAMP_TZ_FORMAT NLS_NUMERIC_CHARACTERS
    NLS_LANGUAGE NLS_TERRITORY NLS_SORT NLS_COMP ISOLATION_LEVEL CURRENT_SCHEMA
    """
)
"""What drivers and their options set in their own session. Other settings, and all of the server's, stay news."""
_SCOPE: Final = ids_of("SESSION LOCAL @@SESSION")
_PRAGMA: Final = ids_of("PRAGMA")[0]
_PRAGMAS: Final = ids_of(
    """
    FOREIGN_KEYS JOURNAL_MODE SYNCHRONOUS BUSY_TIMEOUT CACHE_SIZE TEMP_STORE MMAP_SIZE CASE_SENSITIVE_LIKE ENCODING
    RECURSIVE_TRIGGERS WAL_AUTOCHECKPOINT READ_UNCOMMITTED
    """
)
_SHOW: Final = ids_of("SHOW")[0]
_SHOWN: Final = ids_of("STANDARD_CONFORMING_STRINGS TRANSACTION WARNINGS VARIABLES SERVER_VERSION DATESTYLE TIMEZONE")
_ASKED: Final = ids_of(
    """
    VERSION CURRENT_SCHEMA SET_CONFIG PG_ADVISORY_UNLOCK_ALL SQLITE_VERSION CONVERT_TZ AUTOCOMMIT @@AUTOCOMMIT
    @@SQL_MODE @@DEFAULT_STORAGE_ENGINE @@SQL_AUTO_IS_NULL @@LOWER_CASE_TABLE_NAMES @@TRANSACTION_ISOLATION
    @@TX_ISOLATION @@VERSION @@VERSION_COMMENT @@MAX_ALLOWED_PACKET @@SPID
    """
)
"""Names in what a driver asks without any table."""
_START, _ALTER, _SELECT, _FROM, _IS, _NOT = (K[word] for word in ("START", "ALTER", "SELECT", "FROM", "IS", "NOT"))
_EQUALS: Final = O["="]
_SESSION, _TRANSACTION_WORD, _IF, _COUNT = (ids_of(word)[0] for word in ("SESSION", "TRANSACTION", "IF", "@@TRANCOUNT"))
_MAX_TRANSACTION: Final = 12
"""Tokens of a transaction's beginning or end, with its isolation level or name."""


@kernel
def _sets(codes: Any, ids: Any, start: int, end: int) -> bool:
    """Return whether each setting that is assigned is a usual one of the session, and its value no query."""
    depth, awaited = 0, True
    for k in range(start, end):
        code = codes[k]
        if code == _SELECT or code == _FROM:
            return False
        depth += np.int64(code == OPENING) - np.int64(code == CLOSING)
        if awaited and not is_in(ids[k], _SCOPE):
            if not is_in(ids[k], _SETTINGS):
                return False
            awaited = False
        elif code == COMMA and depth == 0 and k + 3 < end:
            awaited = codes[k + 2] == _EQUALS or codes[k + 3] == _EQUALS
    return not awaited


@kernel
def _asks_rows(codes: Any, start: int, end: int) -> bool:
    found = False
    for k in range(start, end):
        found = found or codes[k] == _SELECT or codes[k] == _FROM
    return found


@kernel
def _asks(codes: Any, ids: Any, start: int, end: int) -> bool:
    """Return whether a query asks for constants and what a driver asks for."""
    for k in range(start, end):
        code = codes[k]
        if code >= FIRST_NAME:
            if not is_in(ids[k], _ASKED):
                return False
        elif not (
            is_constant(code) or code == OPENING or code == CLOSING or code == COMMA or code == _IS or code == _NOT
        ):
            return False
    return True


@kernel
def _keeps_house(codes: Any, ids: Any, start: int, end: int) -> bool:
    """Return whether one statement of several is never news."""
    first = ids[start]
    second: Any = ids[start + 1] if start + 1 < end else np.uint32(0)
    if is_in(first, _TRANSACTION) or (first == _START and second == _TRANSACTION_WORD):
        return end - start <= _MAX_TRANSACTION and not _asks_rows(codes, start, end)
    if first == _SETTING:
        return _sets(codes, ids, start + 1, end)
    if first == _ALTER and second == _SESSION:
        return start + 3 < end and ids[start + 2] == _SETTING and _sets(codes, ids, start + 3, end)
    if first == _PRAGMA:
        return is_in(second, _PRAGMAS)
    if first == _SHOW:
        return is_in(second, _SHOWN)
    if first == _IF and second == _COUNT and start + 4 < end:
        return is_in(ids[start + 4], _TRANSACTION) and end - start <= _MAX_TRANSACTION
    return codes[start] == _SELECT and _asks(codes, ids, start + 1, end)


@kernel
def is_housekeeping(codes: Any, ids: Any, count: int) -> bool:
    """Return whether a statement, or each of several in one text, is never news; no tokens are no statement."""
    start, found = 0, False
    for k in range(count + 1):
        if k == count or codes[k] == SEMICOLON:
            if k > start:
                if not _keeps_house(codes, ids, start, k):
                    return False
                found = True
            start = k + 1
    return found
