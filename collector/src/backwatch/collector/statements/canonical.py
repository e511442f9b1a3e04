"""The canonical text of a statement: what calls share that differ in values, comments, spacing and letter case only.

The redacted text is the same tokens in their own letter case: ``canonical(x) == canonical(redacted(x))``, and each is
its own canonical or redacted text.
"""

from backwatch.collector.statements.tokens import limit_bytes, tokenize
from backwatch.collector.statements.writer import Writer


def redact(text: str, dialect: str) -> str:
    """The statement as it may be sent: canonical but for the letter case of its words."""
    return _written(text, dialect, folded=False)


def canonicalize(text: str, dialect: str) -> str:
    """The canonical text of ``text``, at most ``spec.SENT_BYTES`` long.

    >>> canonicalize("select a from t where id in (1, 2) -- mine", "postgresql")
    'SELECT A FROM T WHERE ID IN(?)'
    """
    return _written(text, dialect, folded=True)


def _written(text: str, dialect: str, *, folded: bool) -> str:
    shown, _ = limit_bytes(text)
    writer = Writer(shown, dialect)
    writer.write(tokenize(shown, dialect))
    return writer.text(folded=folded)[0]
