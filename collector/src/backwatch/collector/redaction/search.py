"""Elasticsearch and OpenSearch: method, path template, names of parameters, the query's keys without its values."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from backwatch.collector.redaction.http import redact_segment
from backwatch.collector.redaction.plain import COMMENT, ESCAPED, mask
from backwatch.collector.redaction.search_text import redact_lucene, redact_script
from backwatch.collector.statements.scan import scan_cached

MAX_SEGMENTS: Final = 12
MAX_INDEX: Final = 120
MAX_KEYS: Final = 400
MAX_DEPTH: Final = 16
MAX_SHAPE: Final = 4_000
MAX_KEY: Final = 80
MAX_PIPED: Final = 262_144
"""Characters of a statement, more than the scanner reads, so that it reports the cut."""

_BEFORE_ID: Final = frozenset((
    "_doc", "_create", "_update", "_source", "_explain", "_termvectors", "_mlt", "_percolate", "scroll", "_tasks",
    "_async_search",
))  # fmt: skip
_INDEX: Final = re.compile(r"[A-Za-z0-9_.,*:<>{}/|+-]{1,250}")
_NUMBERS: Final = re.compile(r"[0-9]{2,}")
_MINGLED: Final = re.compile(r"(?<![A-Za-z0-9])(?:[A-Za-z]*+[0-9]++){2}[A-Za-z0-9]*+")
"""A part of a name with scattered digits: an identifier of a tenant or a session."""
_KEY: Final = re.compile(r"[A-Za-z_@.][A-Za-z0-9_@.*^-]{0,79}")
_LONG_NUMBER: Final = re.compile(r"[0-9]{4,}")
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_.-]{4,64}")
_LANGUAGES: Final = frozenset(("painless", "expression", "mustache", "groovy", "mvel", "javascript", "python", "java"))
_SEARCHES: Final = frozenset((
    "_search", "_count", "_explain", "_update", "_update_by_query", "_delete_by_query", "_reindex", "_scripts",
    "_async_search", "_validate", "_msearch", "_graph", "_knn_search", "_transform", "_rollup_search",
))  # fmt: skip
"""Endpoints whose bodies are queries and not documents."""
_DATA: Final = frozenset(("doc", "upsert", "params", "document", "documents"))
_QUERY_STRINGS: Final = ("query_string", "simple_query_string")
_SCRIPT: Final = "(script)"
_SCRIPT_KEYS: Final = frozenset(("source", "inline", "lang", "params", "id", "options"))
_STATEMENTS: Final = {"_sql": "sql", "_xpack/sql": "sql", "_query": "piped", "_ppl": "piped", "_query/async": "piped"}
_QUOTED: Final = rf"{ESCAPED}|{COMMENT}|(?P<comment>//[^\n\r]*+)"
_PPL: Final = re.compile(_QUOTED, re.DOTALL)
_ESQL: Final = re.compile(rf"(?P<triple>\"\"\"(?:[^\"]++|\"(?!\"\"))*+(?:\"{{3,5}}+)?+)|{_QUOTED}", re.DOTALL)
_DOCUMENT: Final = {"GET": "get", "HEAD": "exists", "PUT": "index", "POST": "index", "DELETE": "delete"}
_INDICES: Final = {"GET": "indices.get", "HEAD": "indices.exists", "PUT": "indices.create", "DELETE": "indices.delete"}


def to_path_template(path: str) -> str:
    """Return the path with ids replaced; indices and words of the interface stay.

    >>> to_path_template("/orders,logs-2026.11.25/_doc/ann@example.com")
    '/logs-?.?.?,orders/_doc/?'
    >>> to_path_template("/_search/scroll/FGluY2x1ZGVfY29udGV4dF91dWlk")
    '/_search/scroll/?'
    """
    parts = path.partition("?")[0].strip("/").split("/")
    shown: list[str] = []
    for number, part in enumerate(islice(parts, MAX_SEGMENTS)):
        if number and parts[number - 1] in _BEFORE_ID:
            shown.append("?" if not part.startswith("_") else redact_segment(part))
        elif number == 0 and not part.startswith("_"):
            shown.append(_indices(part))
        elif number == 2 and not parts[1].startswith("_") and not parts[0].startswith("_"):
            shown.append("?" if not part.startswith("_") else redact_segment(part))  # before 7: index, type, id
        else:
            shown.append(redact_segment(part))
    return "/" + "/".join(shown) + ("/…" if len(parts) > MAX_SEGMENTS else "")


def _indices(text: str) -> str:
    text = text.replace("%2C", ",").replace("%2A", "*").replace("%3C", "<").replace("%3E", ">")
    if not _INDEX.fullmatch(text):
        return "?"
    return ",".join(sorted({_NUMBERS.sub("?", _MINGLED.sub("?", name))[:MAX_INDEX] for name in text.split(",")[:20]}))


def to_operation(method: str, path: str) -> str:
    """Return the operation, named like the client's own method if the path determines it.

    >>> [to_operation("GET", path) for path in ("/orders/_search", "/orders/_doc/1", "/_cluster/health")]
    ['search', 'get', 'cluster.health']
    """
    parts = [part for part in path.partition("?")[0].split("/") if part]
    verb = method.upper()
    if not parts:
        return "info"
    named = next((number for number, part in enumerate(parts) if part.startswith("_")), -1)
    if named < 0:
        return _INDICES.get(verb, "index") if len(parts) == 1 else _DOCUMENT.get(verb, "index")
    word = redact_segment(parts[named]).lstrip("_")
    if word in ("doc", "create", "source"):
        return "create" if word == "create" else _DOCUMENT.get(verb, "index")
    after = redact_segment(parts[named + 1]).lstrip("_") if named == 0 and len(parts) > 1 else ""
    return f"{word}.{after}" if after.isalpha() and after != "all" else word


def classify_path(path: str) -> str:
    """Return ``sql`` or ``piped`` if the body's ``query`` is a statement, otherwise an empty text."""
    parts = path.partition("?")[0].strip("/").split("/")
    return _STATEMENTS.get("/".join(parts[-2:])) or _STATEMENTS.get(parts[-1], "")


def to_statement(method: str, path: str, parameters: Iterable[str], body: object, asked: str = "") -> str:
    """Return the statement of a request.

    Args:
        parameters: Their names.
        asked: The query string among them: ``q``.

    >>> to_statement("POST", "/orders/_search", ["size"], {"query": {"term": {"user": {"value": "ann"}}}})
    'POST /orders/_search?size {query:{term:{user:{value:?}}}}'
    >>> to_statement("GET", "/orders/_search", ["q"], None, "user:ann OR *")
    'GET /orders/_search?q (?:? OR *)'
    """
    names = ",".join(sorted({redact_segment(name) for name in islice(parameters, 30)}))
    head = f"{method if method.isalpha() else '?'} {to_path_template(path)}{'?' if names else ''}{names}"
    if asked:
        head += f" ({redact_lucene(asked)})"
    if classify_path(path) == "piped" and isinstance(body, Mapping) and isinstance(body.get("query"), str):
        return f"{head} {scan_cached(_rewrite_piped(body['query'], esql='_ppl' not in path), 'mysql').redacted}"
    shown = to_shape(body, searches=not _SEARCHES.isdisjoint(path.partition("?")[0].split("/")))
    return f"{head} {shown}" if shown else head


def _rewrite_piped(text: str, *, esql: bool) -> str:
    """Rewrite ES|QL or PPL for the scanner: strings are MySQL's, except ES|QL's triple quotes; ``//`` is a comment.

    >>> _rewrite_piped('FROM t | WHERE a == \"\"\"x " y\"\"\" // mine', esql=True)
    "FROM t | WHERE a == '.........' -- mine"
    """
    text = text[:MAX_PIPED]
    if "//" not in text and not (esql and '"""' in text):
        return text
    return (_ESQL if esql else _PPL).sub(_as_mysql, text)


def _as_mysql(token: re.Match[str]) -> str:
    kind, text = token.lastgroup, token[0]
    if kind == "triple":
        return mask(text)
    return ("-- " + text[3:])[: len(text)] if kind == "comment" else text


def to_shape(body: object, *, searches: bool = False) -> str:
    """Return the keys of a body in order, with ``?`` for each value and equal elements of a list once.

    Args:
        searches: The body is a query and not a document: query strings and scripts keep their operators.

    >>> to_shape({"query": {"bool": {"filter": [{"term": {"a": 1}}, {"term": {"a": 2}}, {"range": {"b": {"gt": 3}}}]}}})
    '{query:{bool:{filter:[{term:{a:?}},{range:{b:{gt:?}}}]}}}'
    >>> to_shape({"query": {"query_string": {"query": "ann OR *"}}}, searches=True)
    '{query:{query_string:{query:(? OR *)}}}'
    >>> to_shape({"script": {"lang": "painless", "source": "ctx._source.n = 7"}}, searches=True)
    '{script:{lang:painless,source:(ctx._source.n=?)}}'
    """
    if not isinstance(body, (Mapping, list, tuple)) or not body:
        return ""
    walk = _BodyWalk(searches=searches)
    text = walk.shown(body, 0, "", "")
    return text if len(text) <= MAX_SHAPE else text[:MAX_SHAPE] + "…"


class _BodyWalk:
    """A walk through a body, up to the bounds."""

    def __init__(self, *, searches: bool) -> None:
        self.left = MAX_KEYS
        self.searches = searches

    def shown(self, value: object, depth: int, key: str, parent: str) -> str:
        if isinstance(value, Mapping) and depth < MAX_DEPTH:
            searches, self.searches = self.searches, self.searches and key not in _DATA
            within = _SCRIPT if _is_script(key, value) else key
            parts: list[str] = []
            for name, inner in value.items():
                self.left -= 1
                if self.left < 0:
                    parts.append("…")
                    break
                word = _name(name)
                parts.append(f"{word}:{self.shown(inner, depth + 1, word, within)}")
            self.searches = searches
            return "{" + ",".join(parts) + "}"
        if isinstance(value, (list, tuple)) and depth < MAX_DEPTH:
            return f"[{','.join(self._alike(value, depth, key))}]"
        return self._text(value, depth, key, parent) if isinstance(value, str) else "?"

    def _text(self, value: str, depth: int, key: str, parent: str) -> str:
        if key == "lang" and value in _LANGUAGES:
            return value
        if not self.searches:
            return "?"
        if key == "query" and parent in _QUERY_STRINGS:
            return f"({redact_lucene(value, simple=parent.startswith('simple'))})"
        if parent == _SCRIPT or (key == "script" and depth == 1):
            return f"({redact_script(value)})" if key in ("source", "inline", "script") else "?"
        return "?"

    def _alike(self, values: Sequence[object], depth: int, key: str) -> list[str]:
        seen: dict[str, None] = {}
        for value in islice(values, MAX_KEYS):
            self.left -= 1
            if self.left < 0:
                seen["…"] = None
                break
            seen[self.shown(value, depth + 1, key, "")] = None
        return list(seen)


def _is_script(key: str, value: Mapping[Any, Any]) -> bool:
    """Return whether the value is a script or query string, and not a condition on a field of that name."""
    return (key == "script" or key.endswith("_script")) and value.keys() <= _SCRIPT_KEYS


def _name(name: object) -> str:
    """Return a key: a field's name or a word of the query language; ``?`` if it looks like a value."""
    text = str(name)
    if len(text) > MAX_KEY or not _KEY.fullmatch(text) or _LONG_NUMBER.search(text):
        return "?"
    parts = [part.removeprefix("@") for part in text.replace("^", "").split(".")]
    if any("@" in part for part in parts):
        return "?"  # an address
    return text if all(redact_segment(part) != "?" for part in parts if part.strip("*_-")) else "?"


def read_key_id(authorization: object) -> str:
    """Return the id of an API key without its secret.

    >>> read_key_id("ApiKey " + base64.b64encode(b"VuaCfGcBCdbkQm:secret").decode())
    'VuaCfGcBCdbkQm'
    """
    if not isinstance(authorization, str) or not authorization.startswith("ApiKey "):
        return ""
    try:
        text = base64.b64decode(authorization[7:500].strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return ""
    name = text[0].decode("latin-1") if text[1] else ""
    return name if _KEY_ID.fullmatch(name) else ""
