"""Signs of injection in searches of Elasticsearch, OpenSearch and Solr: query strings, scripts, conditions."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from backwatch.collector.documents.fields import CREDENTIAL, ID, classify_field
from backwatch.collector.documents.javascript import signs_of_code

MAX_NODES: Final = 400
MAX_DEPTH: Final = 16
MAX_TEXT: Final = 8_192

_FIELD: Final = r"(?:[\w.@-]{1,80}:)"
_ALWAYS: Final = re.compile(
    r"(?:\bOR\b|\|\|)\s*+\(*+\s*+"
    rf"(?:\*:\*|\*(?![\w*])|{_FIELD}(?:\*(?![\w*])|\[\s*+\*\s++TO\s++\*\s*+\]|/\.\*/))",
    re.IGNORECASE,
)
_EQUAL: Final = re.compile(
    r"(?:\bOR\b|\|\|)\s*+['\"]?+(\w{1,40})['\"]?+\s*+(?:=|==|:)\s*+['\"]?+\1(?!\w)", re.IGNORECASE
)
_WILD: Final = re.compile(r"([\w.@-]{1,80}):\s*+(?:[^\s()\"]{0,40}\*|/|\[|[<>])")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|\\.')
_JOINED: Final = re.compile(r"\)\s*+(?:OR|AND|\|\||&&|NOT)\b", re.IGNORECASE)
_PROGRAM: Final = re.compile(
    r"\b(?:Runtime|ProcessBuilder|getRuntime|forName|getClass|ClassLoader|FileInputStream|FileReader|URLClassLoader"
    r"|Thread|java\.(?:io|net|lang\.(?:reflect|Thread))|System\.(?:exit|getProperty|getenv)|getDeclaredMethod)\b"
)
_UNSAFE: Final = frozenset(("groovy", "mvel", "javascript", "js", "python"))
_TELLING: Final = ("quer", "script", "wildcard", "regexp", "should", "prefix", "exists", "?q")
"""Parts of a shape behind which a sign may stand."""
_STRINGS: Final = frozenset(("query_string", "simple_query_string"))
_SCRIPTS: Final = frozenset(("source", "inline"))
_OPERATORS: Final = frozenset(("wildcard", "regexp", "prefix", "fuzzy", "range"))
_EVERYTHING: Final = frozenset(("*", ".*", "**", "*?", ".+", "?*", ""))


def signs_of_query_string(text: str) -> set[str]:
    """Return the signs of a query in Lucene's syntax.

    >>> sorted(signs_of_query_string('status:open AND name:"Ann Lee"')), sorted(signs_of_query_string("*"))
    ([], [])
    >>> sorted(signs_of_query_string("ann) OR (*:*")), sorted(signs_of_query_string("user:ann AND password:a*"))
    (['tautology', 'unbalanced-quote'], ['operator-for-value'])
    """
    text = text[:MAX_TEXT]
    found: set[str] = set()
    if _ALWAYS.search(text) or _EQUAL.search(text):
        found.add("tautology")
    if any(classify_field(hit[1]) == CREDENTIAL for hit in _WILD.finditer(text)):
        found.add("operator-for-value")
    bare = _QUOTED.sub("?", text)
    joined = _JOINED.search(bare)
    if joined is not None and _depth_below_zero(bare, joined.start() + 1):
        found.add("unbalanced-quote")
    return found


def _depth_below_zero(text: str, end: int) -> bool:
    depth = 0
    for letter in text[:end]:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return True
    return False


def signs_of_script(source: str, language: str = "") -> set[str]:
    """Return the signs of a script.

    >>> sorted(signs_of_script("ctx._source.n += params.n; ctx._source.seen = true"))
    []
    >>> sorted(signs_of_script('Class.forName("java.lang.Runtime").getRuntime().exec("id")'))
    ['program']
    """
    found = signs_of_code(source[:MAX_TEXT]) & {"tautology", "time-delay", "unbalanced-quote"}
    if _PROGRAM.search(source[:MAX_TEXT]) or language in _UNSAFE:
        found.add("program")
    return found


def signs_of_search(body: object) -> tuple[str, ...]:
    """Return the signs of a search's body.

    >>> signs_of_search({"query": {"bool": {"should": [{"term": {"user": "ann"}}, {"match_all": {}}]}}})
    ('tautology',)
    >>> signs_of_search({"query": {"range": {"created": {"gte": "now-1d"}}}})
    ()
    """
    walk = _SearchWalk()
    walk.value(body, "", 0)
    return tuple(sorted(walk.found))


def may_show_signs(statement: str) -> bool:
    """Return whether a search of this shape needs a look at its values."""
    return any(word in statement for word in _TELLING)


class _SearchWalk:
    def __init__(self) -> None:
        self.found: set[str] = set()
        self.left = MAX_NODES

    def value(self, value: Any, key: str, depth: int) -> None:
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            return
        if isinstance(value, Mapping):
            for name, inner in value.items():  # pyright: ignore[reportUnknownVariableType]
                self._member(key, str(name), inner, value)  # pyright: ignore[reportUnknownArgumentType]
                self.value(inner, str(name), depth + 1)  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, (list, tuple)):
            for inner in value[:MAX_NODES]:  # pyright: ignore[reportUnknownVariableType]
                self.value(inner, key, depth + 1)

    def _member(self, parent: str, key: str, value: Any, around: Mapping[Any, Any]) -> None:
        if parent in _STRINGS and key == "query" and isinstance(value, str):
            self.found |= signs_of_query_string(value)
        elif isinstance(value, str) and (key in _SCRIPTS or (key == "script" and parent != "term")):
            self.found |= signs_of_script(value, str(around.get("lang", "")))
        elif key == "should" and isinstance(value, (list, tuple)):
            if len(value) > 1 and any(_is_everything(branch) for branch in value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
                self.found.add("tautology")
        elif key in _OPERATORS and isinstance(value, Mapping):
            for field, bound in value.items():  # pyright: ignore[reportUnknownVariableType]
                if _replaces_value(str(field), bound):  # pyright: ignore[reportUnknownArgumentType]
                    self.found.add("operator-for-value")
        elif parent == "exists" and key == "field" and classify_field(str(value)) == CREDENTIAL:
            self.found.add("operator-for-value")


def _is_everything(branch: Any) -> bool:
    return isinstance(branch, Mapping) and "match_all" in branch and not branch["match_all"]


def _replaces_value(field: str, bound: Any) -> bool:
    kind = classify_field(field)
    text = bound.get("value", bound.get("wildcard")) if isinstance(bound, Mapping) else bound  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return kind == CREDENTIAL or (kind == ID and isinstance(text, str) and text in _EVERYTHING)


def signs_of_parameters(asked: str, body: object) -> tuple[str, ...]:
    """Return the signs of a search by its parameter ``q`` and its body."""
    found = signs_of_query_string(asked) if asked else set[str]()
    return tuple(sorted(found.union(signs_of_search(body))))


def is_search_body(body: object) -> bool:
    """Return whether a document is a search: it has a key of one."""
    keys: Sequence[str] = ("query", "aggs", "aggregations", "size", "_source", "sort", "script", "knn", "post_filter")
    return isinstance(body, Mapping) and any(key in body for key in keys)
