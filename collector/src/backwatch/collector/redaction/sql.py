"""SQL: the statement without literals, comments and secrets. ``statements/`` has the rules."""

from backwatch.collector.statements.dialects import dialect_of
from backwatch.collector.statements.scan import scan


def to_statement(text: str, system: str) -> str:
    """Return the statement as it may be sent.

    Args:
        text: The statement as the app passed it.
        system: ``db.system.name``.

    >>> to_statement("SELECT * FROM users WHERE name = 'ann' -- me", "postgresql")
    'SELECT * FROM users WHERE name = ?'
    """
    return scan(text, dialect_of(system)).redacted
