"""Query languages that read like SQL and are none: Cypher, SQL++ of Couchbase, AQL of ArangoDB.

Their strings are MySQL's, in either quote, and ``//`` begins a comment. So MySQL's scanner redacts them and finds the
signs that they share with SQL; the rest is found here.
"""

import re
from typing import Final

from backwatch.collector.redaction.plain import COMMENT, ESCAPED
from backwatch.collector.redaction.sanitize import sanitize

SYSTEMS: Final = frozenset(("neo4j", "memgraph", "couchbase", "cosmosdb", "azure.cosmosdb", "arangodb", "neptune"))
MAX_TEXT: Final = 65_536

_QUOTED: Final = re.compile(rf"{ESCAPED}|{COMMENT}|(?P<comment>//[^\n\r]*+)|(?P<label>:(?=[A-Za-z_]))", re.DOTALL)
_ALWAYS: Final = re.compile(r"\bOR\s++(?:NOT\s++false|true|1)\b(?!\s*+[=<>.(])", re.IGNORECASE)
_LATER: Final = re.compile(r"[A-Z)\]}?]\s++(?:LOAD\s++CSV)\b|\bLOAD\s++CSV\s++FROM\s++\?\s*+\+", re.IGNORECASE)
_CATALOGUE: Final = re.compile(
    r"\b(?:db\.(?:labels|propertyKeys|relationshipTypes|schema)|dbms\.(?:\w+\.)?(?:components|listConfig|listUsers|procedures|functions)"
    r"|apoc\.(?:meta|systemdb)|SHOW\s++(?:USERS|DATABASES|PROCEDURES))",
    re.IGNORECASE,
)
_PROGRAM: Final = re.compile(r"\bapoc\.(?:load|cypher|export|trigger|util\.sleep|custom)\b|\bCURL\s*+\(", re.IGNORECASE)


def sanitize_graph(text: str) -> tuple[str, str, str]:
    """Return redacted text, signs and first word of a statement.

    >>> sanitize_graph("MATCH (u:User {name: 'ann'}) RETURN u")
    ('MATCH(u : User { name : ? }) RETURN u', '', 'MATCH')
    >>> sanitize_graph("MATCH (u) WHERE u.name = 'x' OR 1=1 RETURN u // '")[1]
    'comment-tail,tautology'
    """
    rewritten = _QUOTED.sub(_as_mysql, text[:MAX_TEXT])
    statement, signs, operation = sanitize(rewritten, "mysql")
    found = set(signs.split(",")) - {""}
    if _ALWAYS.search(statement):
        found.add("tautology")
    if _LATER.search(statement):
        found.add("file-access")
    if operation not in ("CALL", "SHOW") and _CATALOGUE.search(statement):
        found.add("catalogue")
    if operation not in ("CALL", "UNWIND") and _PROGRAM.search(statement):
        found.add("program")
    return statement, join_signs(found), operation


def _as_mysql(token: "re.Match[str]") -> str:
    text, kind = token[0], token.lastgroup
    if kind == "label":
        return ": "  # else it reads like a named parameter
    return "-- " + text[2:] if kind == "comment" else text


def join_signs(found: "set[str] | tuple[str, ...]") -> str:
    """Return signs as they are reported: in the order of ``names.SIGNS``."""
    from backwatch.collector import names

    return ",".join(sign for sign in names.SIGNS if sign in found)
