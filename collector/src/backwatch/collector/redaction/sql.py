"""SQL: the statement without literals, comments and secrets. The rules stand in ``statements/``."""

from backwatch.collector.statements.dialects import dialect_of
from backwatch.collector.statements.scan import scan


def to_statement(text: str, system: str) -> str:
    """The statement as it may be sent.

    Args:
        text: The statement as the driver got it.
        system: ``db.system.name``.

    >>> to_statement("SELECT * FROM users WHERE name = 'ann' -- me", "postgresql")
    'SELECT * FROM users WHERE name = ?'
    """
    return scan(text, dialect_of(system)).redacted
