"""SQL: the statement without literals, comments and secrets. The rules stand in ``statements/``."""

from backwatch.collector.statements.canonical import redacted
from backwatch.collector.statements.dialects import dialect_of


def statement(text: str, system: str) -> str:
    """The statement as it may be sent.

    Args:
        text: The statement as the driver got it.
        system: ``db.system.name``.

    >>> statement("SELECT * FROM users WHERE name = 'ann' -- me", "postgresql")
    'SELECT * FROM users WHERE name = ?'
    """
    return redacted(text, dialect_of(system))
