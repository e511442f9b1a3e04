"""Edits of an application's own statements: those that releases make, and injections without a sign."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from backwatch.detector.statements.structure.vocabulary import KEYWORDS
from bench.query_weights.records import Record, read, select_training

_END: Final = re.compile(r" (?:GROUP BY|ORDER BY|LIMIT|HAVING|RETURNING|FOR UPDATE|ON CONFLICT|ON DUPLICATE)\b|;|$")
_NEW_COLUMNS: Final = [
    "CREATED_BY",
    "DELETED_AT",
    "KIND",
    "STATE",
    "OWNER",
    "REGION_ID",
    "LOCALE",
    "VERSION_NO",
    "AMOUNT",
    "FLAGS",
    "NOTE",
]
_NEW_TABLES: Final = ["ACCOUNTS", "SECRETS", "INVOICES", "STAFF", "TOKENS", "SETTINGS", "PAYMENTS", "LOGS"]
_PREDICATES: Final = (
    "{0} = ?", "{0} LIKE ?", "{0} >= ?", "{0} IN(?)", "{0} IS NULL", "{0} IS NOT NULL", "{0} BETWEEN ? AND ?",
    "{0} <> ?", "{0} NOT IN(?)", "{0} = TRUE", "LOWER({0}) = ?", "{0} > NOW() - INTERVAL ?", "{0} = ANY(?)",
    "{0} >= ? AND {0} < ?", "({0} = ? OR {0} IS NULL)",
)  # fmt: skip
_HOSTILE: Final = (
    "? OR {a} IS NOT NULL", "{a}", "? OR {a} > ?", "? OR {a} = ?", "? OR {a} LIKE ?", "? OR {a} = {b}", "? OR {a}",
    "? OR {a} IN(?)", "(SELECT MIN({b}) FROM {t})", "(SELECT {b} FROM {t} LIMIT ?)",
    "(SELECT {b} FROM {t} WHERE {a} = ?)", "? UNION SELECT {list} FROM {t}",
    "? UNION ALL SELECT {list} FROM {t} WHERE {a} = ?", "? EXCEPT SELECT {list} FROM {t}",
    "? OR EXISTS(SELECT ? FROM {t} WHERE {b} = ?)", "? OR {a} IN(SELECT {b} FROM {t})", "{f}({a})", "{f}({a}, ?)",
    "{a} + ?", "{a} AND {b} = ?", "ANY(SELECT {b} FROM {t})", "? || (SELECT {b} FROM {t} WHERE {a} = ?) || ?",
    "CASE WHEN {a} = ? THEN {b} ELSE ? END", "? AND SUBSTR({b}, ?, ?) > ?", "?) OR ({a} > ?", "?) OR {a} IN(?",
    "?) UNION SELECT {list} FROM {t} WHERE {a} IN(?", "? AND {a} IN(SELECT {b} FROM {t} WHERE {b} LIKE ?)",
    "SELECT {b} FROM {t}", "?, {a} = ?", "?, {a} = (SELECT {b} FROM {t} LIMIT ?)", "? OR NOT {a} = ?",
    "? AND (SELECT COUNT(*) FROM {t}) > ?", "? HAVING {f}({a}) > ?", "?, (SELECT {b} FROM {t})", "? XOR {a} > ?",
    "?; UPDATE {t} SET {b} = ?", "?; DELETE FROM {t}",
)  # fmt: skip
_ORDERED: Final = (
    "(SELECT {b} FROM {t} LIMIT ?)", "CASE WHEN (SELECT {f}({b}) FROM {t}) > ? THEN {a} ELSE {b} END",
    "(SELECT {f}({b}) FROM {t} WHERE {a} = ?)",
    "CASE WHEN EXISTS(SELECT ? FROM {t} WHERE {b} LIKE ?) THEN {a} ELSE ? END",
)  # fmt: skip
_LITERAL: Final = re.compile(r"'(?:[^'\\]|''|\\.)*'|\"[^\"]*\"|(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_SANITISED: Final = re.compile(r"'(?:[^'\\]|''|\\.)*'|(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_COLUMN: Final = re.compile(r"(?:[A-Z_]+\.)?([A-Z_]+) (?:=|LIKE|>=|<=|>|<|IN|BETWEEN|ILIKE)")


def sanitise(text: str) -> str:
    """Replace literals as simple instrumentations do."""
    return _SANITISED.sub("?", text)


@dataclass(frozen=True, slots=True)
class Editor:
    """Edits canonical statements in one application's vocabulary."""

    columns: Sequence[str]
    tables: Sequence[str]
    source: random.Random

    @classmethod
    def of(cls, records: Sequence[Record], source: random.Random) -> "Editor":
        """Return an editor with the columns and tables that an application names."""
        columns, tables = set[str](), set[str]()
        for record in select_training(records):
            reading = read(record["text"], record["dialect"])
            tables |= {name.upper() for name in reading.family.partition(" ")[2].split(",") if name}
            columns |= {found[1] for found in _COLUMN.finditer(reading.canonical)}
        return cls(sorted(columns) or ["ID"], sorted(tables) or ["T"], source)

    def _column(self, canonical: str, new: float = 0.25) -> str:
        if self.source.random() < new:
            return self.source.choice(_NEW_COLUMNS)
        own = [found[1] for found in _COLUMN.finditer(canonical) if found[1] not in KEYWORDS]
        return self.source.choice(own if own and self.source.random() < 0.6 else list(self.columns))

    def _predicate(self, canonical: str) -> str:
        return self.source.choice(_PREDICATES).format(self._column(canonical, 0.3))

    def honest(self, canonical: str) -> str | None:
        """Return a statement as a release may change it."""
        edits = self._honest_edits(canonical)
        if not edits:
            return None
        edited = self.source.choice(edits)()
        return (self.honest(edited) or edited) if self.source.random() < 0.25 else edited

    def _honest_edits(self, c: str) -> list[Callable[[], str]]:
        pick, table = self.source.choice, self.source.choice(list(self.tables))
        where = c.find(" WHERE ") + 7
        found = _END.search(c, max(where, 0))
        end = found.start() if found else len(c)
        edits: list[Callable[[], str]] = []
        if c.startswith("SELECT") and " FROM " in c:
            at = c.index(" FROM ")
            edits += [lambda: f"{c[:at]}, {self._column(c, 0.5)}{c[at:]}"] * 2
            edits += [lambda: f"{c[:at]}, {pick(['COUNT(*)', f'COALESCE({self._column(c)}, ?)'])}{c[at:]}"]
            edits += [lambda: f"{c} LIMIT ?" if " LIMIT" not in c else f"{c} OFFSET ?"]
            if " ORDER BY" not in c and " GROUP" not in c:
                edits += [lambda: f"{c[:end]} ORDER BY {self._column(c)}{pick([' ASC', ' DESC', ''])}"]
            if where > 6:
                join = pick([" LEFT JOIN ", " JOIN "])
                edits += [lambda: f"{c[: where - 7]}{join}{table} X ON X.ID = {self._column(c)}{c[where - 7 :]}"] * 2
            else:
                edits += [lambda: f"{c[:end]} WHERE {self._predicate(c)}{c[end:]}"] * 3
        if where > 6 and "UNION" not in c:
            edits += [lambda: f"{c[:end]} AND {self._predicate(c)}{c[end:]}"] * 3
            edits += [lambda: f"{c[:where]}{self._predicate(c)} AND {c[where:]}"] * 2
            edits += [lambda: f"{c[:end]} AND ({self._predicate(c)} OR {self._predicate(c)}){c[end:]}"]
            within = f"(SELECT ID FROM {table} WHERE {self._predicate(c)})"
            edits += [lambda: f"{c[:end]} AND {self._column(c)} IN{within}{c[end:]}"]
            edits += [lambda: f"{c[:where]}{self._predicate(c)}{c[end:]}", lambda: c[: where - 7] + c[end:]]
        if c.startswith("UPDATE") and where > 6:
            given = pick(["?", "NOW()", "COALESCE(?, ?)", "DEFAULT"])
            edits += [lambda: f"{c[: where - 7]}, {self._column(c, 0.5)} = {given}{c[where - 7 :]}"] * 3
        if c.startswith("INSERT") and ")" in c:
            edits += [lambda: c.replace(")", f", {self._column(c, 0.6)})", 1)] * 3
            edits += [lambda: f"{c} RETURNING ID", lambda: f"{c} ON CONFLICT DO NOTHING"]
        return edits

    def hostile(self, canonical: str) -> str | None:
        """Return a statement with an injection that shows no sign."""
        slots = [found.start() for found in re.finditer(r"\?", canonical)]
        if not slots:
            return None
        pick = self.source.choice
        words = {
            "a": self._column(canonical, 0.15), "b": self._column(canonical, 0.3),
            "t": pick([*self.tables, *_NEW_TABLES]), "f": pick(["ABS", "COALESCE", "LOWER", "LENGTH", "MAX"]),
            "list": ", ".join(self._column(canonical, 0.4) for _ in range(self.source.randint(1, 5))),
        }  # fmt: skip
        ordered = re.search(r" ORDER BY ([A-Z_.\"`]+)", canonical)
        if ordered and self.source.random() < 0.1:
            return canonical[: ordered.start(1)] + pick(_ORDERED).format(**words) + canonical[ordered.end(1) :]
        at = pick(slots)
        rest = "" if self.source.random() < 0.2 else canonical[at + 1 :]  # the rest was commented out
        return canonical[:at] + pick(_HOSTILE).format(**words) + rest


def inject(text: str, fragment: str, source: random.Random) -> str | None:
    """Return a full statement with a fragment in the place of one of its literals."""
    literals = list(_LITERAL.finditer(text))
    if not literals:
        return None
    found = source.choice(literals)
    quote = found[0][0] if found[0][0] in "'\"" else ""
    if not quote:
        kept = found[0] if fragment[:1] in " '\")" else ""
        return text[: found.start()] + kept + fragment + text[found.end() :]
    tail = "%" if found[0].endswith(f"%{quote}") else ""
    return text[: found.start()] + quote + fragment + tail + quote + text[found.end() :]
