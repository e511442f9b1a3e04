"""Reads the rights of one account from MySQL or MariaDB, with statements of its own and nothing from a span.

Grants come from ``SHOW GRANTS``, whose lines hold password hashes: a line is read into its parts and never shown.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from backwatch.detector.audit.model import AuditUnavailable, Grant, Target, WrongTarget
from backwatch.detector.audit.quoting import is_plain, quote_mysql
from backwatch.detector.audit.sql_tokens import Group, Items, Token, group, tokenize

MAX_ROWS: Final = 50_000
"""Rows of one query that are read; a catalogue with more is refused, because a part of it would prove nothing."""
MAX_ROLES: Final = 100
ALL_OF_DATABASE: Final = (
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE TEMPORARY TABLES",
    "LOCK TABLES", "EXECUTE", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT", "TRIGGER",
)  # fmt: skip
_OPTIONS: Final = frozenset({"ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_identity", "charset"})
_SYSTEM: Final = "('information_schema', 'performance_schema', 'mysql', 'sys')"
_SHOWN: Final = re.compile(r"[\x20-\x7e]{1,200}")


@dataclass(slots=True)
class Catalogue:
    """Everything about the account that the comparison needs.

    Attributes:
        user, host: The account, as the server matched it.
        tables: Names as they are written, by their folded form; the value of a view is whether it runs as its caller.
        routines: Kind (``FUNCTION``, ``PROCEDURE``) and whether it runs as its caller, by database and folded name.
        unread_roles: Roles of the account whose grants it may not see.
        with_option: Objects on which the account may pass its rights on.
    """

    server: str = ""
    user: str = ""
    host: str = "%"
    folds_case: bool = False
    grants: list[Grant] = field(default_factory=list[Grant])
    with_option: list[Grant] = field(default_factory=list[Grant])
    tables: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict[tuple[str, str], tuple[str, str]])
    invoker_views: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    unread_roles: list[str] = field(default_factory=list[str])
    routines: dict[tuple[str, str], tuple[str, str, str]] = field(
        default_factory=dict[tuple[str, str], tuple[str, str, str]]
    )

    @property
    def is_mariadb(self) -> bool:
        """Whether the server names itself MariaDB."""
        return "mariadb" in self.server.lower()

    def fold(self, name: str) -> str:
        """Return a name as the server compares it."""
        return name.lower() if self.folds_case else name


class _RefusedLogin:
    """Refuses a login that would send the password as it is."""

    def __init__(self, connection: object) -> None:
        del connection

    def authenticate(self, _packet: object) -> object:
        """Refuse."""
        raise AuditUnavailable("URL: the server asks for the password in clear text, which is refused")


def read_catalogue(driver: Any, target: Target) -> Catalogue:
    """Read the account's rights.

    Args:
        driver: The module pymysql.
        target: The account, and how to reach the server.

    Raises:
        AuditUnavailable: The server cannot be reached, refuses the login, or returns more than is read.
        WrongTarget: An option of the URL is not known.
    """
    unknown = sorted(set(target.options) - _OPTIONS)
    if unknown:
        raise WrongTarget(f"URL: the option {unknown[0][:40]!r} is not known; known: {', '.join(sorted(_OPTIONS))}")
    refused = dict.fromkeys(("mysql_clear_password", "dialog"), _RefusedLogin)
    limit_s = int(target.timeout_s)
    try:
        with driver.connect(
            host=target.host, port=target.port, user=target.user, password=target.password, autocommit=True,
            connect_timeout=limit_s, read_timeout=limit_s, write_timeout=limit_s, auth_plugin_map=refused,
            cursorclass=driver.cursors.SSCursor, **target.options,
        ) as connection:  # fmt: skip
            return _Reader(connection.cursor(), driver.MySQLError, limit_s).read(target)
    except (driver.MySQLError, OSError) as error:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        reason = f"error {number}: " if number else ""
        text = str(error.args[-1] if error.args else error)
        text = text.replace(target.password, "***") if target.password else text
        raise AuditUnavailable(f"URL {target.shown}: {reason}{text}") from None


class _Reader:
    def __init__(self, cursor: Any, error: type[Exception], limit_s: int) -> None:
        self._cursor, self._error, self._limit_s = cursor, error, limit_s
        self.found = Catalogue()

    def read(self, target: Target) -> Catalogue:
        found = self.found
        found.server = str(self._rows("SELECT VERSION()")[0][0])
        with suppress(self._error):  # the setting has another name in the other product
            self._rows(
                f"SET SESSION max_statement_time = {self._limit_s}"
                if found.is_mariadb
                else f"SET SESSION max_execution_time = {self._limit_s * 1000}"
            )
        self._rows("SET SESSION TRANSACTION READ ONLY")
        found.folds_case = str(self._rows("SELECT @@lower_case_table_names")[0][0]) != "0"
        user, _, host = str(self._rows("SELECT CURRENT_USER()")[0][0]).rpartition("@")
        name, _, named_host = target.account.partition("@")
        found.user, found.host = name or user, named_host or (host if name in ("", user) else "%")
        own = found.user == user and found.host == host
        self._read_grants(own=own)
        self._read_objects()
        return found

    def _rows(self, statement: str) -> Sequence[tuple[Any, ...]]:
        self._cursor.execute(statement)
        rows: list[tuple[Any, ...]] = list(self._cursor.fetchmany(MAX_ROWS + 1)) if self._cursor.description else []
        if len(rows) > MAX_ROWS:
            raise AuditUnavailable(f"the catalogue has more than {MAX_ROWS} rows for one query; nothing was compared")
        return [tuple(map(_decode, row)) for row in rows]

    def _read_grants(self, *, own: bool) -> None:
        found = self.found
        first = "SHOW GRANTS" if own else f"SHOW GRANTS FOR {quote_account(found.user, found.host)}"
        waiting, known = [("itself", first)], {found.user}
        while waiting and len(known) <= MAX_ROLES:
            source, statement = waiting.pop()
            try:
                lines = self._rows(statement)
            except self._error:
                if source == "itself":
                    raise
                found.unread_roles.append(source)
                continue
            waiting += [
                (f"role {role}", f"SHOW GRANTS FOR {self._quote_role(role)}")
                for role in self._add(lines, source, known)
            ]

    def _add(self, lines: Sequence[tuple[Any, ...]], source: str, known: set[str]) -> list[str]:
        """Add the grants of these lines; return the roles that are still to be read."""
        roles: set[str] = set()
        shown: set[str] = set()
        for line, *_ in lines:
            parsed = parse_grant(str(line), source)
            if parsed.grantee not in ("", self.found.user) and source == "itself":
                shown.add(parsed.grantee)  # MariaDB shows the lines of enabled roles with those of the account
                parsed = parse_grant(str(line), f"role {parsed.grantee}")
            self.found.grants += parsed.grants
            self.found.with_option += parsed.grants if parsed.with_option else []
            roles |= set(parsed.roles)
        found = [role for role in sorted(roles - shown - known) if is_plain(role) and role]
        known |= roles | shown
        return found

    def _quote_role(self, role: str) -> str:
        return quote_mysql(role) if self.found.is_mariadb else quote_account(role, "%")

    def _read_objects(self) -> None:
        found = self.found
        tables = self._rows(
            f"SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema NOT IN {_SYSTEM}"
        )
        for schema, name in tables:
            found.tables[found.fold(str(schema)), found.fold(str(name))] = str(schema), str(name)
        views = self._rows(
            "SELECT table_schema, table_name FROM information_schema.views "
            f"WHERE security_type = 'INVOKER' AND table_schema NOT IN {_SYSTEM}"
        )
        found.invoker_views = {(str(schema), str(name)) for schema, name in views}
        routines = self._rows(
            "SELECT routine_schema, routine_name, routine_type FROM information_schema.routines "
            f"WHERE routine_type IN ('FUNCTION', 'PROCEDURE') AND routine_schema NOT IN {_SYSTEM}"
        )
        for schema, name, kind in routines:
            written = "PROCEDURE" if kind == "PROCEDURE" else "FUNCTION"
            found.routines[found.fold(str(schema)), str(name).lower()] = written, str(schema), str(name)


def _decode(cell: object) -> object:
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell


def quote_account(user: str, host: str) -> str:
    """Return an account for a script, quoted."""
    return f"{quote_mysql(user)}@{quote_mysql(host)}"


@dataclass(slots=True)
class ParsedGrant:
    """One line of ``SHOW GRANTS``."""

    grants: list[Grant] = field(default_factory=list[Grant])
    roles: list[str] = field(default_factory=list[str])
    grantee: str = ""
    with_option: bool = False


def parse_grant(line: str, source: str = "itself") -> ParsedGrant:
    r"""Return the parts of a line of ``SHOW GRANTS``; an empty result if it is none.

    >>> [grant.shown for grant in parse_grant("GRANT SELECT (`a`), INSERT ON `shop`.`t` TO `x`@`%`").grants]
    ['SELECT on column shop.t.a', 'INSERT on table shop.t']
    >>> [grant.shown for grant in parse_grant("GRANT USAGE, FILE ON *.* TO `x`@`%`").grants]
    ['FILE on server *']
    """
    found = ParsedGrant()
    statements = group(tokenize(line.replace("\\_", "_").replace("\\%", "%"), mysql=True))
    items: Items = statements[0] if statements else []
    if not items or items[0].word != "GRANT":
        return found
    to = next((at for at, item in enumerate(items) if item.word == "TO"), len(items))
    found.grantee = _text(items[to + 1]) if to + 1 < len(items) else ""
    tail = [item.word for item in items[to:]]
    found.with_option = ("WITH", "GRANT") in pairwise(tail)
    on = next((at for at, item in enumerate(items[:to]) if item.word == "ON"), to)
    if on == to:
        names = [item for item in items[1:to] if isinstance(item, Token) and item.kind in ("quoted", "string")]
        found.roles = [_text(item) for item in names]
        return found
    kind, name = _object(items[on + 1 : to])
    for privilege, columns in _privileges(items[1:on]):
        if privilege == "USAGE" or (privilege == "PROXY"):
            continue
        if columns:
            found.grants += [Grant(privilege, "column", (*name, column), source) for column in columns]
        elif privilege in ("ALL", "ALL PRIVILEGES") and kind == "database":
            found.grants += [Grant(each, kind, name, source) for each in ALL_OF_DATABASE]
        else:
            found.grants.append(Grant(privilege, kind, name, source))
    return found


def _object(items: Items) -> tuple[str, tuple[str, ...]]:
    kind = (
        items[0].word.lower() if items and items[0].word in ("TABLE", "FUNCTION", "PROCEDURE", "PACKAGE") else "table"
    )
    names = [item for item in items if isinstance(item, Token) and (item.kind == "quoted" or item.text == "*")]
    parts = [item.text for item in names]
    if not parts or parts[0] == "*":
        return "server", ("*",)
    return ("database", (parts[0],)) if parts[-1] == "*" and names[-1].kind == "mark" else (kind, tuple(parts[:2]))


def _privileges(items: Items) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    words: list[str] = []
    columns: list[str] = []
    for item in [*items, Token("mark", ",")]:
        if isinstance(item, Group):
            columns = [_text(column) for column in item.items if isinstance(column, Token) and column.is_name]
        elif item.kind == "mark" and item.text == ",":
            name = " ".join(words)
            if _SHOWN.fullmatch(name):
                found.append((name, columns))
            words, columns = [], []
        elif item.word:
            words.append(item.word)
    return found


def _text(item: "Token | Group") -> str:
    if not isinstance(item, Token):
        return ""
    return item.text.strip("'") if item.kind == "string" else item.text
