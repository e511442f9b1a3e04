"""Reads the parts of a SQL statement: references to tables, names, expressions."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from backwatch.collector.statements.spec import split_words
from backwatch.detector.audit.sql_tokens import Group, Items, Token

Name = tuple[str, ...]

_TABLE_ENDS: Final = split_words(
    """
    WHERE GROUP ORDER HAVING LIMIT OFFSET FETCH WINDOW FOR LOCK INTO PROCEDURE SET RETURNING ON VALUES WHEN
    """
)
_JOINS: Final = frozenset({"JOIN", "STRAIGHT_JOIN"})
_JOIN_WORDS: Final = split_words(
    """
    NATURAL INNER CROSS LEFT RIGHT FULL OUTER
    """
)
QUERIES: Final = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE"})
_NO_COLUMNS: Final = split_words(
    """
    AND OR NOT IN IS NULL TRUE FALSE LIKE ILIKE BETWEEN CASE WHEN THEN ELSE END EXISTS ANY ALL SOME DEFAULT
    CURRENT_DATE
    CURRENT_TIMESTAMP CURRENT_TIME CURRENT_USER SESSION_USER LOCALTIME LOCALTIMESTAMP
    INTERVAL DISTINCT ESCAPE RETURNING LIMIT ORDER BY ASC DESC
    """
)


@dataclass(frozen=True, slots=True, order=True)
class SqlNeed:
    """A right that a statement needs.

    Attributes:
        privilege: SELECT, INSERT, UPDATE, DELETE, TRUNCATE, LOCK, EXECUTE, or the verb of an owner's statement.
        kind: ``table``, ``function``, ``owner``, ``rights``, ``file``, ``program``, ``temporary``, ``role``,
            ``unknown``.
        name: The name's parts as the server folds them.
        columns: Columns that an INSERT gives itself; ``None``: all or unknown.
    """

    privilege: str
    kind: str
    name: Name = ()
    columns: tuple[str, ...] | None = None


@dataclass(slots=True)
class Reference:
    """A table with the name under which the statement uses it."""

    name: Name
    alias: str


@dataclass(slots=True)
class Clause:
    """The tables of one FROM."""

    tables: list[Reference] = field(default_factory=list[Reference])


class PartReader(ABC):
    """Reads the parts of one text's statements, and collects what they need."""

    def __init__(self, *, mysql: bool) -> None:
        self.needs: set[SqlNeed] = set()
        self._mysql = mysql

    def add(self, privilege: str, kind: str, name: Name = (), columns: tuple[str, ...] | None = None) -> None:
        """Add one need."""
        self.needs.add(SqlNeed(privilege, kind, name, columns))

    @abstractmethod
    def statement(self, items: Items, temporary: frozenset[str]) -> None:
        """Walk over one statement; ``temporary`` are names of common table expressions."""

    def _assignments(self, items: Items, targets: Clause, temporary: frozenset[str], *, skip_set: bool) -> None:
        """Walk over SET: columns that are assigned need no right to read, those in a value do."""
        if skip_set and items and items[0].word == "SET":
            items = items[1:]
        condition = self.find_word(items, {"WHERE"})
        for assignment in split_commas(items[:condition]):
            equals = next((i for i, item in enumerate(assignment) if is_mark(item, "=")), len(assignment))
            self.walk_reading(assignment[equals + 1 :], targets, temporary)
        if condition < len(items):
            self.walk_reading(items[condition + 1 :], targets, temporary)

    def _returning(self, items: Items, targets: Clause, temporary: frozenset[str]) -> None:
        if any(is_mark(item, "*") for item in items):
            self.add_tables(targets, temporary, "SELECT")
        self.walk_reading(items, targets, temporary)

    def walk_reading(self, items: Items, targets: Clause, temporary: frozenset[str]) -> None:
        """Walk over an expression; the targets' columns that it names have to be readable."""
        aliases = {table.alias.lower() for table in targets.tables}
        if _reads_columns(items, aliases):
            self.add_tables(targets, temporary, "SELECT")
        self.walk_expression(items, temporary)

    def walk_expression(self, items: Items, temporary: frozenset[str]) -> None:
        """Walk over an expression: sub-queries and calls of functions."""
        for at, item in enumerate(items):
            if not isinstance(item, Group):
                continue
            before = items[at - 1] if at else None
            if item.word in QUERIES or (item.items and isinstance(item.items[0], Group) and is_query(item)):
                self.statement(item.items, temporary)
                continue
            if isinstance(before, Token) and before.is_name and before.word not in _NO_COLUMNS:
                parts = [self.fold(before)]
                dot = at - 2
                while dot > 0 and is_mark(items[dot], "."):
                    owner = items[dot - 1]
                    parts.insert(0, self.fold(owner) if isinstance(owner, Token) else "")
                    dot -= 2
                self.add("EXECUTE", "function", tuple(parts))
            self.walk_expression(item.items, temporary)

    def read_tables(self, items: Items, at: int = 0) -> tuple[Clause, int]:
        """Read references to tables from ``at`` on; return them and where they end."""
        clause, expecting = Clause(), True
        while at < len(items):
            item = items[at]
            if isinstance(item, Token) and item.word in _TABLE_ENDS and item.word != "ON":
                break
            if item.word == "ON" and at + 1 < len(items) and items[at + 1].word in ("CONFLICT", "DUPLICATE"):
                break
            if item.word == "USING" and not (at + 1 < len(items) and isinstance(items[at + 1], Group)):
                break  # DELETE … USING a table, not JOIN … USING columns
            if isinstance(item, Token) and (is_mark(item, ",") or item.word in _JOINS):
                expecting = True
            elif expecting and isinstance(item, Group):
                expecting = False
                if not is_query(item):
                    clause.tables += self.read_tables(item.items)[0].tables
            elif expecting and isinstance(item, Token) and item.is_name:
                if item.word in ("ONLY", "LATERAL", "TABLE", "ROWS", *_JOIN_WORDS):
                    at += 1
                    continue
                name, at = self.read_name(items, at)
                expecting = False
                if at < len(items) and isinstance(items[at], Group):
                    continue  # a function
                clause.tables.append(Reference(name, self._alias(items, at) or name[-1]))
                continue
            at += 1
        return clause, at

    def _alias(self, items: Items, at: int) -> str:
        if at < len(items) and items[at].word == "AS":
            at += 1
        if at >= len(items):
            return ""
        item = items[at]
        words = (
            _TABLE_ENDS | _JOINS | _JOIN_WORDS | {"USING", "USE", "FORCE", "IGNORE", "PARTITION", "AS", "READ", "WRITE"}
        )
        return self.fold(item) if isinstance(item, Token) and item.is_name and item.word not in words else ""

    def read_name(self, items: Items, at: int) -> tuple[Name, int]:
        """Read a name from ``at`` on; return its parts and where it ends."""
        parts: list[str] = []
        while at < len(items):
            item = items[at]
            if not isinstance(item, Token) or not item.is_name:
                break
            parts.append(self.fold(item))
            at += 1
            if not (at < len(items) and is_mark(items[at], ".")):
                break
            at += 1
        return tuple(parts), at

    def fold(self, token: "Token | Group") -> str:
        """Return a name as the server folds it."""
        if not isinstance(token, Token):
            return ""
        return token.text if token.kind == "quoted" or self._mysql else token.text.lower()

    def add_tables(self, clause: Clause, temporary: frozenset[str], privilege: str) -> None:
        """Add a need for each of these tables."""
        for table in clause.tables:
            if table.name and not (len(table.name) == 1 and table.name[0] in temporary):
                self.add(privilege, "table", table.name)

    def find_word(self, items: Items, words: Iterable[str], at: int = 0) -> int:
        """Return the place of the first of these words; behind the end if there is none."""
        return next(
            (i for i in range(at, len(items)) if isinstance(items[i], Token) and items[i].word in words
             and not (items[i].word == "FROM" and i and items[i - 1].word == "DISTINCT")), len(items),
        )  # fmt: skip


def is_mark(item: "Token | Group", text: str) -> bool:
    """Return whether an item is this mark."""
    return isinstance(item, Token) and item.kind == "mark" and item.text == text


def is_query(found: Group) -> bool:
    """Return whether a query stands between these parentheses."""
    first = found.items[0] if found.items else None
    return is_query(first) if isinstance(first, Group) else first is not None and first.word in QUERIES


def split_commas(items: Items) -> list[Items]:
    """Return what stands between the commas."""
    parts: list[Items] = [[]]
    for item in items:
        if is_mark(item, ","):
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def _reads_columns(items: Sequence["Token | Group"], aliases: set[str], *, nested: bool = False) -> bool:
    """Return whether an expression names a column; in a sub-query, only one of the tables with these aliases."""
    for at, item in enumerate(items):
        if isinstance(item, Group):
            if _reads_columns(item.items, aliases, nested=nested or is_query(item)):
                return True
            continue
        if not item.is_name or item.word in _NO_COLUMNS:
            continue
        before, after = (items[at - 1] if at else None), (items[at + 1] if at + 1 < len(items) else None)
        if isinstance(after, Group) or (before is not None and (is_mark(before, "::") or before.word == "AS")):
            continue
        if not nested or (after is not None and is_mark(after, ".") and item.text.lower() in aliases):
            return True
    return False
