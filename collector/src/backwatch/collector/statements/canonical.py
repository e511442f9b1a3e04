"""The canonical text of a statement, which is independent of values, comments, spacing and letter case.

The redacted text has the same tokens in their original letter case: ``canonicalize(x) == canonicalize(redact(x))``.
Both functions are idempotent.
"""

from backwatch.collector.statements.tokens import limit_bytes, tokenize
from backwatch.collector.statements.writer import Writer


def redact(text: str, dialect: str) -> str:
    """Return the statement as it may be sent: canonical except for the letter case of its words."""
    return _write_canonical(text, dialect, folded=False)


def canonicalize(text: str, dialect: str) -> str:
    """Return the canonical text, at most ``spec.SENT_BYTES`` long.

    >>> canonicalize("select a from t where id in (1, 2) -- mine", "postgresql")
    'SELECT A FROM T WHERE ID IN(?)'
    """
    return _write_canonical(text, dialect, folded=True)


def _write_canonical(text: str, dialect: str, *, folded: bool) -> str:
    shown, _ = limit_bytes(text)
    writer = Writer(shown, dialect)
    writer.write(tokenize(shown, dialect))
    return writer.text(folded=folded)[0]
