"""The family of a statement: its verb and the tables it names. Where no call site is told it takes the site's place."""

import re
from typing import Final

LONGEST: Final = 4_096
"""Characters of a canonical text in which tables are looked for."""
MOST: Final = 6
"""Tables that a family names."""
_TABLE: Final = re.compile(
    r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE)\s*+(?:ONLY\s++|IF\s++(?:NOT\s++)?EXISTS\s++)?([\"`\[]?[^\s(),;?]{1,128})"
)
_WORD: Final = re.compile(r"[^\s(),;?]{1,32}")
_NO_TABLE: Final = frozenset({"SELECT", "SET", "WHERE", "LATERAL", "VALUES"})


def family(canonical: str) -> str:
    """Verb and tables of a canonical text, sorted: bounded, and the same for every statement of one family.

    >>> family("SELECT A FROM ORDERS O JOIN CUSTOMERS C ON C.ID = O.C WHERE X = ?")
    'SELECT CUSTOMERS,ORDERS'
    >>> family("GET session:?"), family("")
    ('GET', '')
    """
    verb = _WORD.search(canonical[:256])
    tables = {name for name in _TABLE.findall(canonical[:LONGEST]) if name not in _NO_TABLE}
    return " ".join(part for part in (verb[0] if verb else "", ",".join(sorted(tables)[:MOST])) if part)
