"""Statements of third-party spans in query languages that are no SQL: redacted by their system's rules, with signs.

Instrumentations report a MongoDB command as JSON, as Python's ``repr``, as the shell writes it, or only its filter;
a search as its body or query string. What cannot be read is not reported, but searched for signs.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from backwatch.collector.documents import graph_signs, ldap_signs, mongo_signs, redis_signs, search_signs
from backwatch.collector.documents.graph_signs import join_signs
from backwatch.collector.documents.javascript import signs_of_code
from backwatch.collector.documents.parsing import parse_document
from backwatch.collector.redaction import ldap, messaging, mongo, redis, search
from backwatch.collector.redaction.search_text import redact_lucene
from backwatch.collector.runtime.keyed_cache import HASH_IS_KEYED, remember

MAX_TEXT: Final = 32_768
MAX_COMMAND: Final = 8_192

MAX_CACHED: Final = 4_096

Redacted = tuple[str, str, str]
"""Statement, signs and operation."""
_cached: dict[tuple[int, int, str, int], Redacted | None] = {}
_REDIS: Final = frozenset(("redis", "valkey", "keydb", "dragonfly"))
_MONGO: Final = frozenset(("mongodb", "documentdb", "aws.documentdb", "mongoose"))
_SEARCH: Final = frozenset(("elasticsearch", "opensearch", "solr"))
_LDAP: Final = frozenset(("ldap", "active_directory"))
SYSTEMS: Final = _REDIS | _MONGO | _SEARCH | _LDAP | graph_signs.SYSTEMS
"""Systems whose language is known here."""

_SHELL: Final = re.compile(r"\s*+(?:db\.)?([\w.-]{1,100})\.(\w{2,40})\s*+\(")
_PREFIXED: Final = re.compile(r"\s*+(\w{2,40})(?:\s++([\w.-]{1,120}))?+\s*+(?=[{\[])")
_BRACKETS: Final = re.compile(r"\[\$\w{1,20}\]|\[%24\w{1,20}\]")
_CODE: Final = re.compile(r"\$(?:where|function|accumulator)['\"]?\s*+[:=]")
_EMPTY_BRANCH: Final = re.compile(r"\$or['\"]?\s*+:\s*+\[\s*+\{\s*+\}")
_OPERATOR: Final = re.compile(r"['\"]?\$(?:ne|gt|gte|lt|lte|regex|nin|exists|comment|or|expr)['\"]?\s*+:")
_NAMES: Final[Mapping[str, str]] = {
    "findone": "find", "find": "find", "updateone": "update", "updatemany": "update", "update": "update",
    "deleteone": "delete", "deletemany": "delete", "delete": "delete", "remove": "delete", "insertone": "insert",
    "insertmany": "insert", "insert": "insert", "countdocuments": "count", "count": "count", "aggregate": "aggregate",
    "estimateddocumentcount": "count", "findoneandupdate": "findAndModify", "findoneanddelete": "findAndModify",
    "findoneandreplace": "findAndModify", "findandmodify": "findAndModify", "distinct": "distinct",
    "replaceone": "update", "save": "update", "find_one": "find", "exists": "find",
}  # fmt: skip
_SINGLE: Final = frozenset(("findone", "find_one", "exists"))
_CONDITIONS: Final = ("condition", "conditions", "filter", "query", "where", "q", "selector")
_ARGUMENTS: Final = frozenset((
    *_CONDITIONS, "options", "updates", "update", "pipeline", "aggregatePipeline", "documents", "document", "deletes",
    "sort", "projection", "fields", "limit", "skip", "key", "hint", "batchSize", "singleBatch",
))  # fmt: skip


def redact_foreign(system: str, text: str, operation: str, collection: str) -> Redacted | None:
    """Return redacted statement, signs and operation; None if the system's language is unknown.

    Args:
        text: The raw text of the statement; may be empty.
        operation: What the span names as its operation.
        collection: The raw name of collection or index.

    >>> redact_foreign("mongodb", "find {'user': 'ann', 'password': {'$ne': None}}", "find", "users")
    ('find users filter:{user:?,password:{$ne:?}} !operator-for-value', 'operator-for-value', 'find')
    >>> redact_foreign("elasticsearch", '{"query": {"match": {"title": "red shoes"}}}', "search", "products")
    ('search products {query:{match:{title:?}}}', '', 'search')
    """
    if not HASH_IS_KEYED:
        return _redact(system, text[:MAX_TEXT], operation, collection)
    # Python's own hash is keyed (SipHash): no raw text is kept, and an attacker cannot construct collisions.
    mark = (hash(text), len(text), system, hash((operation, collection)))
    if mark in _cached:
        return _cached[mark]
    return remember(_cached, mark, _redact(system, text[:MAX_TEXT], operation, collection), MAX_CACHED)


def _redact(system: str, text: str, operation: str, collection: str) -> Redacted | None:
    reader = _READERS.get(system)
    if reader is not None:
        statement, signs, name = reader(text, operation, collection)
        return with_signs(statement or "?", signs), signs, name
    if system in graph_signs.SYSTEMS:
        if text.lstrip()[:1] in ("{", "["):
            return _mongo(text, operation, collection)
        statement, signs, word = graph_signs.sanitize_graph(text)
        shown = statement or f"{operation} {messaging.redact_destination(collection)}".strip()
        return shown, signs, word or operation
    return None


def with_signs(statement: str, signs: str) -> str:
    """Return the shape with its signs: what is suspicious is another statement than the honest one of that shape."""
    return f"{statement} !{signs}" if signs else statement


def _redis(text: str, operation: str, _collection: str) -> Redacted:
    command = redis.to_statement((text or operation)[:MAX_COMMAND].split()[:100])
    name = operation if redis.is_command_name(operation.upper()) else command.partition(" ")[0]
    return command, join_signs(redis_signs.signs_of_text(text)), name


def _ldap(text: str, operation: str, _collection: str) -> Redacted:
    shape = ldap.to_filter_shape(text.strip()) if "=" in text or "(" in text else ""
    signs = ldap_signs.signs_of_filter(text) if shape else ()
    return f"{operation or 'search'} {shape}".strip(), join_signs(signs), operation


def _search(text: str, operation: str, collection: str) -> Redacted:
    head = f"{operation or 'search'} {_indices(collection)}".strip()
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        if not text or text.split(maxsplit=1)[:1] == [operation] or "/" in text[:40]:
            return head, join_signs(search_signs.signs_of_query_string(text)), operation
        signs = search_signs.signs_of_query_string(text)
        return f"{head} ({redact_lucene(text)})", join_signs(signs), operation
    found: set[str] = set()
    shapes: list[str] = []
    at, bodies = 0, 0
    while bodies < 20 and at < len(text):  # a multi-search has one a line
        parsed = parse_document(text, at)
        found.update(search_signs.signs_of_search(parsed.value))
        shape = search.to_shape(parsed.value, searches=True) if isinstance(parsed.value, (dict, list)) else ""
        if shape and shape not in shapes:
            shapes.append(shape)
        at, bodies = parsed.end, bodies + 1
        if parsed.broken or not text[at:].strip():
            break
    return " ".join((head, *shapes))[: search.MAX_SHAPE], join_signs(found), operation


def _indices(collection: str) -> str:
    return search.to_path_template(collection)[1:] if collection and "/" not in collection else ""


def _mongo(text: str, operation: str, collection: str) -> Redacted:
    command, signs = read_command(text, operation, collection)
    if command is None:
        name = _NAMES.get(operation.lower(), operation if operation in mongo.COMMANDS else "?")
        return f"{name} {messaging.redact_destination(collection)}".strip(), join_signs(signs), name
    name = mongo.get_command_name(command)
    return mongo.to_statement(command), join_signs(signs), name


def read_command(text: str, operation: str, collection: str) -> tuple[dict[str, Any] | None, set[str]]:
    """Return the command that a text stands for, and the signs of it; None where it cannot be read."""
    stripped = text.lstrip()
    named, target = operation.lower(), collection
    parsed = None
    if _BRACKETS.match(stripped):
        return None, {"operator-for-value"}
    if stripped[:1] in ("{", "["):
        parsed = parse_document(text, len(text) - len(stripped))
    elif (prefixed := _PREFIXED.match(text)) is not None and prefixed[1].lower() in _NAMES:
        named, target = prefixed[1].lower(), prefixed[2] or collection
        parsed = parse_document(text, prefixed.end())
    elif (shell := _SHELL.match(text)) is not None and shell[2].lower() in _NAMES:
        named, target = shell[2].lower(), shell[1]
        parsed = parse_document(text, shell.end())
    if parsed is None or not isinstance(parsed.value, (dict, list)):
        return None, _signs_of_fragment(text)
    command = _to_command(parsed.value, named, target)
    found = set(mongo_signs.signs_of_command(command))
    rest = text[parsed.end :]
    if parsed.broken or rest.strip(" \t\r\n;),]}"):
        found |= _signs_of_fragment(rest if not parsed.broken else text, whole=False)
    return command, found


def _to_command(value: Any, named: str, target: str) -> dict[str, Any]:
    """Return the command document for a whole command, its arguments, or its filter."""
    name = _NAMES.get(named, "find")
    if isinstance(value, list):
        members: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return _of_list(name, target, members, named)
    document: dict[str, Any] = value
    first = next(iter(document), "")
    if first in mongo.COMMANDS and not (first in _CONDITIONS or isinstance(document[first], dict)):
        return document
    limit = {"limit": 1} if named in _SINGLE else {}
    if _ARGUMENTS.issuperset(document) and document:
        condition = next((document[key] for key in _CONDITIONS if key in document), None)
        pipeline = document.get("pipeline", document.get("aggregatePipeline"))
        rest = {key: document[key] for key in document if key not in _CONDITIONS and key != "options"}
        if isinstance(pipeline, list):
            return {"aggregate": target, "pipeline": pipeline}
        return _of_condition(name, target, condition, rest | limit)
    return _of_condition(name, target, document, limit)


def _of_list(name: str, target: str, members: list[Any], named: str) -> dict[str, Any]:
    if name in ("update", "delete") and members and isinstance(members[0], dict) and "q" in members[0]:
        return {name: target, f"{name}s": members}
    if name == "insert":
        return {"insert": target, "documents": members}
    if name == "aggregate" or any(_is_stage(stage) for stage in members):
        return {"aggregate": target, "pipeline": members}
    limit = {"limit": 1} if named in _SINGLE else {}
    return _of_condition(name, target, members[0] if members else None, limit)


def _is_stage(stage: Any) -> bool:
    return isinstance(stage, dict) and str(next(iter(stage), ""))[:1] == "$"  # pyright: ignore[reportUnknownArgumentType]


def _of_condition(name: str, target: str, condition: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    if name == "insert":
        return {"insert": target, "documents": "?"}
    if name in ("update", "delete"):
        write = {"q": condition if isinstance(condition, dict) else {}}
        if name == "update":
            write["u"] = more.get("updates", more.get("update", {}))
        return {name: target, f"{name}s": [write | {"limit": 0, "multi": True}]}
    key = "filter" if name == "find" else "query"
    return {name: target, key: condition, **{word: inner for word, inner in more.items() if word != "updates"}}


def _signs_of_fragment(text: str, *, whole: bool = True) -> set[str]:
    """Return the signs of a text that is no document: what was joined into one, or a part of one."""
    found: set[str] = set()
    if _BRACKETS.search(text) or _CODE.search(text):
        found.add("operator-for-value")
    if _EMPTY_BRANCH.search(text):
        found.add("tautology")
    if not whole:
        later = text.lstrip(" )")
        if later[:1] == ";" and later.strip("; \n"):
            found |= {"stacked"} | signs_of_code(later[1:], fragment=True)
        if _OPERATOR.search(text):
            found.add("unbalanced-quote")
        return found
    if text.strip()[:1] in ("'", '"', "|", "&", ";", ",", "0", "1", "$") or _SHELL.match(text) or "$where" in text:
        found |= signs_of_code(text, fragment=True)
        if _OPERATOR.search(text):
            found.add("operator-for-value")
    return found


_READERS: Final[Mapping[str, Callable[[str, str, str], Redacted]]] = {
    **dict.fromkeys(_REDIS, _redis), **dict.fromkeys(_MONGO, _mongo), **dict.fromkeys(_SEARCH, _search),
    **dict.fromkeys(_LDAP, _ldap),
}  # fmt: skip


def signs_of_native(command: object, statement: str) -> str:
    """Return the signs of a MongoDB command of an own probe, by the shape that it is reported with."""
    if not mongo_signs.may_show_signs(statement):
        return ""
    return join_signs(mongo_signs.signs_of_command(command))
