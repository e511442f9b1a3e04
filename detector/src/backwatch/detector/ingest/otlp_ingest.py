"""Converts spans of third-party SDKs to the form of Backwatch's collector: contract names, redacted, with signs.

What the contract does not know is left behind, for it may hold anything: parameters, headers, stack traces, bodies.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from backwatch.collector import names
from backwatch.collector.documents.foreign import SYSTEMS, redact_foreign
from backwatch.collector.redaction import http, messaging
from backwatch.collector.redaction.sanitize import sanitize
from backwatch.collector.runtime.record import CLIENT, CONSUMER
from backwatch.collector.statements.dialects import NOT_SQL, is_document
from backwatch.detector.decoding import schema

Value = str | int | bool | float
Facts = dict[str, Value]

MAX_TEXT: Final = 256
"""Characters of a text that is no statement."""
MAX_COMMAND: Final = 8_192
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z_.]{0,59}")
_PORTS: Final = {"https": 443, "http": 80}
_ALIASES: Final[Mapping[str, tuple[str, int]]] = {
    name: (column.name, rank)
    for column in schema.COLUMNS
    for rank, name in enumerate((column.name, *column.aliases))
    if column.levels & schema.SPAN and not name.startswith(schema.OWN_PREFIX)
}
"""Names that are read of a span without our contract, each with its fact and how good a name for it that is."""
_VOLUMES: Final = (names.BYTES_SENT, names.BYTES_RECEIVED)


def facts_of(pairs: Iterable[tuple[str, Value]]) -> Facts:
    """Return the facts in these attributes, by contract name; the best name wins."""
    ranks: dict[str, int] = {}
    facts: Facts = {}
    for name, value in pairs:
        known = _ALIASES.get(name)
        if known is not None and known[1] <= ranks.get(known[0], 99):
            ranks[known[0]] = known[1]
            facts[known[0]] = value
    if any(name in facts for name in _VOLUMES):
        facts[names.BYTES_ESTIMATED] = True
    return facts


def is_call(facts: Facts, kind: int) -> bool:
    """Return whether a span of this kind is a call to a backing service."""
    if not CLIENT <= kind <= CONSUMER:
        return False
    return bool(_system(facts)) or names.HTTP_METHOD in facts or names.URL_FULL in facts


def redact_call(facts: Facts, name: str) -> tuple[str, Facts]:
    """Return operation and redacted facts of a call."""
    system = _system(facts)
    text, url = str(facts.pop(names.QUERY_TEXT, "")), str(facts.pop(names.URL_FULL, ""))
    operation = _word(_text(facts, names.OPERATION)) or _word(name)
    found = redact_foreign(system, text, operation, _text(facts, names.DB_COLLECTION)) if system in SYSTEMS else None
    if found is not None:
        statement, signs, operation = found
        more = {names.STATEMENT: statement, names.QUERY_SIGNS: signs}
    elif names.DB_SYSTEM in facts and system not in NOT_SQL:
        statement, signs, first_word = sanitize("" if is_document(text) else text, system)
        operation = first_word or operation
        more = {names.QUERY_TEXT: statement, names.QUERY_SIGNS: signs}
    elif names.DB_SYSTEM in facts:
        # Nothing is known of this language's values, so its text goes no further.
        collection = messaging.redact_destination(_text(facts, names.DB_COLLECTION))
        more = {names.STATEMENT: f"{operation} {collection}".strip()}
    elif not system or system == "http":
        operation = _word(_text(facts, names.HTTP_METHOD)).upper() or "HTTP"
        more = {names.SYSTEM: "http", names.HTTP_METHOD: operation}
        more |= {names.STATEMENT: http.to_statement(operation, url)} if url else {}
        more |= {names.URL_SECRET: True} if http.carries_secret(url) else {}
    else:
        more = _destination_facts(facts)
        operation = _find_operation(facts, name) if names.MESSAGING_SYSTEM in facts else operation
    kept = {key: value[:MAX_TEXT] if isinstance(value, str) else value for key, value in facts.items()}
    kept |= _endpoint_facts(facts, url) if url else {}
    kept |= {names.OPERATION: operation} if names.DB_SYSTEM in facts else {}
    error = _text(facts, names.ERROR_TYPE)
    kept |= {names.ERROR_TYPE: _word(error.rpartition(".")[2]) or "error"} if error else {}
    return operation, {key: value for key, value in (kept | more).items() if value != ""}


def _destination_facts(facts: Facts) -> Facts:
    """Return the destination of messages, without anything that looks like a value."""
    name = _text(facts, names.MESSAGING_DESTINATION)
    if not name:
        return {}
    return {names.MESSAGING_DESTINATION: messaging.redact_span_destination(_system(facts), name)}


def _find_operation(facts: Facts, name: str) -> str:
    """Return the operation; the span's name contains the destination as well."""
    return messaging.to_operation(f"{_text(facts, names.MESSAGING_OPERATION)} {name}")


def _system(facts: Facts) -> str:
    return next((text for name in names.SYSTEMS if (text := _text(facts, name).lower())), "")


def _text(facts: Facts, name: str) -> str:
    value = facts.get(name)
    return value if isinstance(value, str) else ""


def _word(text: str) -> str:
    found = _WORD.search(text[:MAX_TEXT])
    return found.group() if found else ""


def _endpoint_facts(facts: Facts, url: str) -> Facts:
    """Return the address of a URL, and whether it uses TLS. Nothing else of it is kept beside the statement."""
    scheme, host, port = _split_url(url)
    if not host:
        return {}
    more: Facts = {}
    if names.SERVER_ADDRESS not in facts:
        more[names.SERVER_ADDRESS] = host[:MAX_TEXT]
    if names.SERVER_PORT not in facts and port:
        more[names.SERVER_PORT] = port
    # An exchange that came to a status had its connection; one that failed may have had none.
    if names.HTTP_STATUS in facts and names.TLS_ESTABLISHED not in facts and scheme in _PORTS:
        more[names.TLS_ESTABLISHED] = scheme == "https"
    return more


def _split_url(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url[:MAX_COMMAND])
        return parts.scheme.lower(), parts.hostname or "", parts.port or _PORTS.get(parts.scheme.lower(), 0)
    except ValueError:
        return "", "", 0
