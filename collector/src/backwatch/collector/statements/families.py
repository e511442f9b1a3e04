"""The family of a statement: its verb and its tables. It replaces the call site if none is reported."""

import re
from typing import Final

from backwatch.collector.statements.spec import split_words

MAX_TABLES: Final = 8
MAX_NAME: Final = 64
MAX_FAMILY: Final = 255

_PIECE: Final = re.compile(r'"[^"]*+"|`[^`]*+`|\[[^\]]*+\]|[(),;.]|[^\s(),;."`\[]++|.')
_CTE: Final = re.compile(r"(?:\bWITH|\bRECURSIVE|,) ([^\s(),.]++)(?:\([^()]*+\))?+ AS(?: NOT)?+(?: MATERIALIZED)?+\(")
_VERBS: Final = split_words(
    """
    SELECT INSERT UPDATE DELETE REPLACE MERGE WITH CREATE ALTER DROP TRUNCATE COPY LOCK ANALYZE VACUUM EXPLAIN
    VALUES TABLE LOAD DECLARE
    """
)
_MAIN: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE"})
_BEFORE_TABLE: Final = frozenset({"FROM", "JOIN", "INTO", "UPDATE", "TABLE", "COPY", "TRUNCATE", "USING"})
_FILLERS: Final = frozenset({"ONLY", "LATERAL", "IF", "NOT", "EXISTS", "TABLE", "LOW_PRIORITY", "IGNORE"})
_NO_TABLES: Final = frozenset({"STDIN", "STDOUT", "DUAL"})
_NO_UPDATE_OF: Final = frozenset({"FOR", "KEY", "DO", "ON", "THEN"})
_FROM_INSIDE: Final = frozenset({"EXTRACT", "SUBSTRING", "TRIM", "OVERLAY", "POSITION"})
_LIST_ENDS: Final = split_words(
    """
    WHERE GROUP ORDER HAVING LIMIT UNION SET RETURNING WINDOW FOR SELECT ;
    """
)


def derive_family(canonical: str) -> str:
    """Return the family of a canonical text: its verb and its tables, in lower case and alphabetical order.

    For other languages than SQL: the first two words. At most ``MAX_FAMILY`` characters.

    >>> derive_family("SELECT A.B FROM ORDERS AS A JOIN USERS ON A.ID = USERS.ID")
    'SELECT orders,users'
    >>> derive_family("GET session:?")
    'GET session:?'
    """
    pieces = _PIECE.findall(canonical)
    first = next((piece for piece in pieces if piece not in (" ", "(", "/*!")), "")
    if first not in _VERBS:
        return " ".join(canonical.split(" ", 2)[:2])[:MAX_FAMILY]
    walk = _TableWalk(frozenset(_CTE.findall(canonical)) if "WITH" in canonical else frozenset())
    walk.over([piece for piece in pieces if piece != " "])
    verb = walk.main if first == "WITH" and walk.main else first
    tables = sorted(walk.tables)
    shown = ",".join(tables[:MAX_TABLES]) + (",…" if len(tables) > MAX_TABLES else "")
    return f"{verb} {shown}".rstrip()[:MAX_FAMILY]


class _TableWalk:
    """A walk over a text's pieces that finds tables by the position of names."""

    def __init__(self, temporary: frozenset[str]) -> None:
        self.tables: set[str] = set()
        self.main = ""
        self._temporary = temporary
        self._depth = 0
        self._listing: set[int] = set()  # depths at which a comma leads to the next table
        self._inside: set[int] = set()  # depths at which FROM belongs to a function

    def over(self, pieces: list[str]) -> None:
        """Walk through the pieces of a canonical text."""
        leading, at, before = "", 0, ""  # the piece that a table's name is due after
        while at < len(pieces):
            piece = pieces[at]
            if leading and piece not in _FILLERS:
                if piece != "SELECT" and (piece[0] in '"`[_' or piece[0].isalnum() or ord(piece[0]) > 127):
                    at, before, leading = self._name(pieces, at, leading), "name", ""
                    continue
                leading = ""
            self._structure(piece, before)
            if self._leads(piece, before):
                leading = piece
            before, at = piece, at + 1

    def _structure(self, piece: str, before: str) -> None:
        if piece == "(":
            self._depth += 1
            if before in _FROM_INSIDE:
                self._inside.add(self._depth)
        elif piece == ")":
            self._listing.discard(self._depth)
            self._inside.discard(self._depth)
            self._depth -= 1
        elif piece in _MAIN and not self._depth and not self.main:
            self.main = piece
        elif piece in _LIST_ENDS:
            self._listing.discard(self._depth)

    def _leads(self, piece: str, before: str) -> bool:
        """Return whether a table's name may follow ``piece``."""
        if piece == ",":
            return self._depth in self._listing
        if piece not in _BEFORE_TABLE or (piece == "UPDATE" and before in _NO_UPDATE_OF):
            return False
        if piece == "FROM":
            if self._depth in self._inside or before == "DISTINCT":
                return False
            self._listing.add(self._depth)
        return True

    def _name(self, pieces: list[str], at: int, leading: str) -> int:
        """Take the name at ``at``; where it goes on."""
        start = at
        at += 1
        while at + 1 < len(pieces) and pieces[at] == ".":
            at += 2
        name = "".join(piece.strip('"`[]') for piece in pieces[start:at])
        call = pieces[at : at + 1] == ["("] and leading not in ("INTO", "TABLE", "COPY")
        if not call and name not in self._temporary and name not in _NO_TABLES and len(self.tables) <= MAX_TABLES:
            self.tables.add(name.lower()[:MAX_NAME])
        return at
