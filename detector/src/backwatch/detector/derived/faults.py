"""Classify failed calls: a fault of the service, a fault of the caller, a refused login, a service that is paused."""

import re
from collections.abc import Mapping
from typing import Final

UNKNOWN: Final = 0
OWN: Final = 1
"""A fault of the statement or its values: broken, forbidden, existing, missing."""
SERVICE: Final = 2
"""A fault of the service or the connection: refused, reset, timed out, overloaded, protocol error."""
LOGIN: Final = 3
"""The service refused the login."""

UNAVAILABLE: Final = 4
"""The service itself reports that it cannot serve now: it starts, stops, hands over, or has too much to do."""

_LOGIN_CODES: Final[Mapping[str, frozenset[str]]] = {
    "postgresql": frozenset(("28000", "28P01")),
    "mysql": frozenset(("1045", "1698", "1251", "2059")),
    "redis": frozenset(("NOAUTH", "WRONGPASS")),
    "valkey": frozenset(("NOAUTH", "WRONGPASS")),
    "mongodb": frozenset(("18",)),
    "microsoft.sql_server": frozenset(("18456",)),
    "clickhouse": frozenset(("193", "194", "516")),
    "cassandra": frozenset(("0x0100",)),
    "kafka": frozenset(("58", "-169")),
    "rabbitmq": frozenset(("403",)),
    "smtp": frozenset(("534", "535", "538")),
    "pop3": frozenset(("AUTH",)),
    "ftp": frozenset(("530",)),
    "ldap": frozenset(("48", "49")),
    "grpc": frozenset(("16", "UNAUTHENTICATED")),
}
_UNAVAILABLE_CODES: Final[Mapping[str, frozenset[str]]] = {
    "postgresql": frozenset(("57P01", "57P02", "57P03", "53300")),
    "mysql": frozenset(("1040", "1053", "3168")),
    "redis": frozenset(("LOADING", "MASTERDOWN", "CLUSTERDOWN", "READONLY", "BUSY")),
    "valkey": frozenset(("LOADING", "MASTERDOWN", "CLUSTERDOWN", "READONLY", "BUSY")),
    "mongodb": frozenset(("91", "189", "10107", "11600", "11602", "13435", "13436")),
    "kafka": frozenset(("5", "6")),
    "grpc": frozenset(("14", "UNAVAILABLE")),
    "http": frozenset(("502", "503", "504")),
}
_UNAVAILABLE_NAME: Final = re.compile(
    r"(?:AdminShutdown|CrashShutdown|CannotConnectNow(?:Error)?|TooManyConnections(?:Error)?|BusyLoadingError|"
    r"MasterDownError|ClusterDownError|ReadOnlyError|NotPrimaryError|ServiceUnavailable(?:Error)?|50[234])"
)
_OWN_CODES: Final[Mapping[str, re.Pattern[str]]] = {
    "postgresql": re.compile(r"(?:2[1-7]|42|44|0A|P0|40)\w{3}|57014"),
    "mysql": re.compile(r"10(?:0[678]|4[468]|5\d|6[0-9]|7[0-5]|9\d)|11[0-4]\d|12(?:05|13|64|22)|13\d\d|14[05]\d"),
    "sqlite": re.compile(r"SQLITE_(?:ERROR|CONSTRAINT|MISMATCH|RANGE|TOOBIG|BUSY|LOCKED)\w*"),
    "mongodb": re.compile(r"(?!50$|89$|91$|189$|10107$|11600$|11602$|13435$|13436$)\d+"),
    "redis": re.compile(r"ERR|WRONGTYPE|NOSCRIPT|EXECABORT|NOPERM|MOVED|ASK|NOGROUP|BUSYGROUP"),
    "valkey": re.compile(r"ERR|WRONGTYPE|NOSCRIPT|EXECABORT|NOPERM|MOVED|ASK|NOGROUP|BUSYGROUP"),
    "grpc": re.compile(r"[1-3]|[5-7]|9|1[0-2]|CANCELLED|INVALID_\w+|NOT_FOUND|ALREADY_\w+|PERMISSION_\w+|FAILED_\w+"),
}
_LOGIN_NAME: Final = re.compile(
    r"(?:auth(?:entication|n)?(?:error|fail\w*|exception)|authenticat|notauth|invalidpassword|"
    r"invalidauthorization|credential|wrongpass|loginerror|saslauth|accessrefused|unauthenticated)",
    re.IGNORECASE,
)
_SERVICE_NAME: Final = re.compile(
    r"(?:connect|reset|refused|abort|broken|pipe|time_?d?out|unreachable|network|socket|closed|lost|unavailable|"
    r"gaierror|operational|interface|internal|serverselection|protocol|incomplete|eof|remote|broker|busy|loading|"
    r"readonly|cluster|oserror|^error$|transport|badstatus|toomany|exhausted|shutdown|serverexception|overload)|^5\d\d$",
    re.IGNORECASE,
)  # fmt: skip


def fault_of(system: str, code: str, name: str, http_status: int = -1) -> int:
    """Return the class of a failed call: ``OWN``, ``SERVICE``, ``LOGIN``, ``UNAVAILABLE``, or ``UNKNOWN``.

    Args:
        system: ``db.system.name`` or another fact of the system.
        code: ``db.response.status_code``.
        name: ``error.type``.
        http_status: -1: none.

    >>> fault_of("postgresql", "28P01", "OperationalError"), fault_of("mysql", "1064", "ProgrammingError")
    (3, 1)
    >>> fault_of("http", "", "ConnectionResetError"), fault_of("http", "", "", 503), fault_of("http", "", "404", 404)
    (2, 4, 1)
    >>> fault_of("rabbitmq", "403", "ChannelClosedByBroker"), fault_of("rabbitmq", "403", "ConnectionClosedByBroker")
    (1, 3)
    """
    kind, code, last = system[:40].lower(), code[:40], name[:200].rpartition(".")[2]
    if kind == "rabbitmq" and code == "403" and last.lower().startswith("channel"):
        return OWN  # about one queue or exchange: before a login there is no channel
    if code in _LOGIN_CODES.get(kind, ()) or http_status in (401, 407) or _LOGIN_NAME.search(last):
        return LOGIN
    own = _OWN_CODES.get(kind)
    is_reported = code in _UNAVAILABLE_CODES.get(kind, ()) or _UNAVAILABLE_NAME.fullmatch(last)
    if is_reported or http_status in (502, 503, 504):
        return UNAVAILABLE
    if (own is not None and own.fullmatch(code)) or 400 <= http_status < 500:
        return OWN
    return SERVICE if http_status >= 500 or _SERVICE_NAME.search(last) else UNKNOWN


_REFUSED_CODE: Final = re.compile(  # not: a missing right, a type that does not fit, an object that exists already
    r"42(?!501|804|883|P07|701|710)\w{3}|1064|1054|1146|1305|1222|1241|1248|1052|1105|1630|SQLITE_ERROR|ORA-00[79]\d\d|ORA-01\d{3}"
)
_REFUSED_CODE_OF_SQL_SERVER: Final = frozenset(("102", "105", "156", "170", "207", "208", "4145"))
_REFUSED_NAME: Final = re.compile(
    r"(?:ProgrammingError|SyntaxError|SyntaxErrorException|Undefined(?:Column|Table|Object)|GroupingError|"
    r"AmbiguousColumn|SQLSyntaxErrorException|ER_PARSE_ERROR|ER_BAD_FIELD_ERROR)$"
)

_UNRESOLVED_CODE: Final = re.compile(r"42703|42P01|42702|42704|42803|1054|1146|1305|1052|ORA-00904|ORA-00942")
_UNRESOLVED_CODE_OF_SQL_SERVER: Final = frozenset(("207", "208"))
_UNRESOLVED_NAME: Final = re.compile(
    r"(?:Undefined(?:Column|Table|Object)|GroupingError|AmbiguousColumn|ER_BAD_FIELD_ERROR)$"
)


def is_name_unresolved(system: str, code: str, name: str) -> bool:
    """Return whether a statement was refused only because a column or a table does not exist, or is ambiguous.

    That is how a release fails whose migration has not run.

    >>> is_name_unresolved("postgresql", "42703", "UndefinedColumn"), is_name_unresolved("mysql", "1064", "")
    (True, False)
    """
    if _UNRESOLVED_CODE.fullmatch(code[:40]) or (not code and _UNRESOLVED_NAME.search(name[:200])):
        return True
    return system[:40].lower() == "microsoft.sql_server" and code in _UNRESOLVED_CODE_OF_SQL_SERVER


def is_statement_refused(system: str, code: str, name: str) -> bool:
    """Return whether the database refused a statement as no valid one: broken syntax, or names that do not exist.

    >>> is_statement_refused("postgresql", "42601", "psycopg.errors.SyntaxError")
    True
    >>> is_statement_refused("postgresql", "23505", "UniqueViolation"), is_statement_refused("mysql", "1064", "")
    (False, True)
    >>> is_statement_refused("postgresql", "42501", "InsufficientPrivilege")
    False
    """
    if _REFUSED_CODE.fullmatch(code[:40]) or _REFUSED_NAME.search(name[:200]):
        return True
    return system[:40].lower() == "microsoft.sql_server" and code in _REFUSED_CODE_OF_SQL_SERVER
