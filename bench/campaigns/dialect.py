"""The three dialects: how each one quotes, numbers rows, compares text and updates what exists."""

from dataclasses import dataclass
from typing import Literal

Name = Literal["postgres", "mysql", "sqlite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What differs between the databases in the statements of the app.

    Attributes:
        name: The value of a record's ``dialect``.
        sqlmap: The value of sqlmap's option ``--dbms``.
        quote: The character around identifiers.
        placeholder: How the driver marks a parameter.
        key: The type of a key that the database numbers.
        like: The operator that ignores case.
        today: The current date.
    """

    name: Name
    sqlmap: str
    quote: str
    placeholder: str
    key: str
    like: str
    today: str

    def literal(self, value: str) -> str:
        """Return a string literal, properly escaped."""
        escaped = value.replace("'", "''")
        return "'" + (escaped.replace("\\", "\\\\") if self.name == "mysql" else escaped) + "'"

    def quote_identifiers(self, statement: str) -> str:
        """Replace double quotes around identifiers by those of the dialect."""
        return statement.replace('"', self.quote)

    def upsert(self, key: str, column: str) -> str:
        """Return the clause that updates ``column`` of the row that has this key already."""
        if self.name == "mysql":
            return f"ON DUPLICATE KEY UPDATE {column} = VALUES({column})"
        return f"ON CONFLICT ({key}) DO UPDATE SET {column} = excluded.{column}"

    def days_before(self, days: str) -> str:
        """Return the date ``days`` ago."""
        return {
            "postgres": f"CURRENT_DATE - {days}",
            "mysql": f"CURDATE() - INTERVAL {days} DAY",
            "sqlite": f"date('now', '-' || {days} || ' days')",
        }[self.name]

    def month(self, column: str) -> str:
        """Return the month of a date as text."""
        return {
            "postgres": f"to_char({column}, 'YYYY-MM')",
            "mysql": f"DATE_FORMAT({column}, '%Y-%m')",
            "sqlite": f"strftime('%Y-%m', {column})",
        }[self.name]


POSTGRES = Dialect(
    name="postgres", sqlmap="PostgreSQL", quote='"', placeholder="%s", key="serial PRIMARY KEY", like="ILIKE",
    today="CURRENT_DATE",
)  # fmt: skip
MYSQL = Dialect(
    name="mysql", sqlmap="MySQL", quote="`", placeholder="%s", key="integer PRIMARY KEY AUTO_INCREMENT", like="LIKE",
    today="CURDATE()",
)  # fmt: skip
SQLITE = Dialect(
    name="sqlite", sqlmap="SQLite", quote='"', placeholder="?", key="integer PRIMARY KEY", like="LIKE",
    today="date('now')",
)  # fmt: skip
DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (POSTGRES, MYSQL, SQLITE)}
