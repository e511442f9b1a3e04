"""Response indicators: signs of a hostile response, as words of a fixed list, never a part of the response.

Nothing here runs if a call succeeds with a plain response. The work is bounded and linear, and no input makes it raise.
"""

import re
from typing import Final

from backwatch.collector import names
from backwatch.collector.runtime.record import Facts

MAX_PARTS: Final = 4
"""Arguments of an exception that are read, and ``MAX_TEXT`` characters of each."""
MAX_TEXT: Final = 4_096
XML_BYTES: Final = 65_536
"""Bytes of an XML document that are read; its entity definitions come first."""
JSON_BYTES: Final = 8_192
MAX_INSPECTED_BYTES: Final = {"xml": XML_BYTES, "json": JSON_BYTES}
"""Bytes that are read, by the kind of document."""
DEEP_NESTING: Final = 500
"""Open brackets that no genuine document has, and half of the depth that Python's parsers accept."""
MIN_JSON_BYTES: Final = 40
"""A shorter JSON document can hold neither an instruction nor a deep nesting."""
MAX_ENTITY_BYTES: Final = 1_000
"""A longer entity only serves to be repeated."""
_ENTITY: Final = re.compile(rb"<!ENTITY\s+(?:%\s+)?[^\s<>\"']+\s+(SYSTEM\b|PUBLIC\b|\"|')")
_REFERENCE: Final = re.compile(rb"&(?!#)")

_CHAT_MARKS: Final = (b"<|im_start|>", b"<|im_end|>", b"<|start_header_id|>", b"<|eot_id|>", b"<<sys>>", b"[/inst]")
"""Tokens that chat models are trained to read as the end of the input and the beginning of an instruction."""
_ORDERED: Final = (b"instruction", b"prompt")
_BLANK: Final = rb"(?:\s|\\[nrt]){1,4}"
_ORDER: Final = re.compile(
    rb"\b(?:ignore|disregard|forget|override)" + _BLANK
    + rb"(?:(?:all|any|the|your|of|my|these|those)" + _BLANK + rb"){0,4}"
    + rb"(?:previous|prior|above|earlier|preceding|existing|original|system)" + _BLANK
    + rb"(?:(?:system|user|developer)" + _BLANK + rb")?\Z"
)  # fmt: skip
_BEFORE: Final = 120
"""Bytes before the word within which the instruction must begin."""
_MOST_ORDERS: Final = 8

_IN_TEXT: Final = (
    ("terminal-escape", re.compile(r"\x1b")),
    ("hidden-text", re.compile(r"[\u202a-\u202e\u2066-\u2069]")),
    ("control-character", re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]|\r(?!\n|\Z)")),
)
"""A lone carriage return moves the cursor to the line's beginning, and the following text overwrites the line."""


def add_error_indicators(facts: Facts, error: BaseException) -> Facts:
    """Add the indicators in an error's text to a call's facts. Drivers copy text of the service into it.

    >>> add_error_indicators((), ConnectionError("OK\\x1b[2K"))
    (('backwatch.response.indicators', 'terminal-escape'),)
    """
    found: list[str] = []
    arguments: tuple[object, ...] = _arguments(error)  # a subclass may have redefined ``args``
    for part in arguments[:MAX_PARTS]:
        if isinstance(part, bytes):
            text = bytes.__getitem__(part, _HEAD).decode("utf-8", "replace")
        elif isinstance(part, str):
            text = str.__getitem__(part, _HEAD)  # a plain ``str``, even if a subclass redefines indexing
        else:
            continue
        if not text.isprintable():
            found += (word for word, pattern in _IN_TEXT if pattern.search(text))
    return add_indicators(facts, found) if found else facts


def document_kind(content_type: object, length: object = "") -> str:
    """Return the kind of a body: ``xml``, ``json``, or empty for another kind or one too short to be harmful.

    Args:
        content_type: The ``Content-Type`` header.
        length: The ``Content-Length`` header, if the app reads that many bytes.

    >>> document_kind("application/problem+json; charset=utf-8"), document_kind("text/xml"), document_kind("text/html")
    ('json', 'xml', '')
    """
    if not isinstance(content_type, str):
        return ""
    kind = content_type[:200].partition(";")[0].strip().lower()
    if kind.endswith(("/json", "+json")):
        digits = length if isinstance(length, str) and length.isascii() and len(length) < 4 else ""
        return "" if digits.isdigit() and int(digits) < MIN_JSON_BYTES else "json"
    return "xml" if kind.endswith(("/xml", "+xml")) else ""


def find_document_indicators(kind: str, head: bytes) -> list[str]:
    """Return the indicators of a document by its first bytes, uncompressed.

    >>> find_document_indicators("json", b"[" * 1_000)
    ['deep']
    """
    return _of_json(head[:JSON_BYTES]) if kind == "json" else _of_xml(head[:XML_BYTES])


def _of_json(head: bytes) -> list[str]:
    found = ["prompt-injection-in-response"] if _has_prompt_injection(head.lower()) else []
    opened = head.count(b"[") + head.count(b"{")
    if opened >= DEEP_NESTING and opened - head.count(b"]") - head.count(b"}") >= DEEP_NESTING:
        found.append("deep")
    return found


def _of_xml(head: bytes) -> list[str]:
    if b"\0" in head:  # UTF-16, which every parser accepts
        head = head.replace(b"\0", b"")
    if b"<!ENTITY" not in head:
        return []
    found: set[str] = set()
    for entity in _ENTITY.finditer(head):
        if entity[1] in (b"SYSTEM", b"PUBLIC"):
            found.add("xml-external")
        elif "xml-entities" not in found:
            begin = entity.end()
            end = head.find(entity[1], begin, begin + MAX_ENTITY_BYTES + 1)
            end = end if end >= 0 else min(len(head), begin + MAX_ENTITY_BYTES + 1)  # longer, or cut
            if end - begin > MAX_ENTITY_BYTES or _REFERENCE.search(head, begin, end):
                found.add("xml-entities")
        if len(found) == 2:
            break
    return sorted(found)


def _has_prompt_injection(lowered: bytes) -> bool:
    """Return whether a text gives instructions to the language model that may read it."""
    if any(mark in lowered for mark in _CHAT_MARKS):
        return True
    for word in _ORDERED:
        at = lowered.find(word)
        for _ in range(_MOST_ORDERS):
            if at < 0:
                break
            if _ORDER.search(lowered, max(0, at - _BEFORE), at):
                return True
            at = lowered.find(word, at + 1)
    return False


_HEAD: Final = slice(MAX_TEXT)
_arguments: Final = BaseException.__dict__["args"].__get__


def add_indicators(facts: Facts, found: "list[str]") -> Facts:
    """Add indicators to a call's facts, merged with those that it already has."""
    rest = tuple(fact for fact in facts if fact[0] != names.RESPONSE_INDICATORS)
    known = {word for name, value in facts if name == names.RESPONSE_INDICATORS for word in str(value).split(",")}
    known.update(found)
    return (*rest, (names.RESPONSE_INDICATORS, ",".join(word for word in names.INDICATOR_WORDS if word in known)))
