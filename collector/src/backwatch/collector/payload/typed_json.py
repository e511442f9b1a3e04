"""JSON documents that name the classes to build: jsonpickle, Jackson, fastjson, .NET, node-serialize.

Words such as ``class`` or ``type`` are ordinary, and so are the types of JSON-LD, protobuf and AT Protocol. So a key
counts only with a value that is a class of its platform: ``com.x.Y`` for Java, ``Namespace.Class, Assembly`` for .NET.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

MAX_NAMES: Final = 32
MAX_ESCAPES: Final = 8_192

_KEY_END: Final = rb"[\"']?\s{0,8}:\s{0,8}"
_JAVA: Final = rb"\[?L?((?:[a-z_]\w{0,60}\.){1,12}(?:\w{1,80}\$)?[A-Z][\w$]{0,120})"
_JSONPICKLE: Final = re.compile(
    rb'"py/(object|type|function|reduce|newobj|repr|method|mod|module|class|set|tuple|state|initargs|newargs|newargsex)"'
    rb'\s{0,8}:\s{0,8}[\[{]?\s{0,8}(?:"([^"\\]{1,120})")?'
)
_HARMLESS_KEYS: Final = frozenset((b"set", b"tuple", b"state", b"initargs", b"newargs", b"newargsex"))
_JACKSON: Final = re.compile(rb"@class" + _KEY_END + rb"[\"']" + _JAVA)
_FASTJSON: Final = re.compile(rb"@type" + _KEY_END + rb"[\"']" + _JAVA + rb";?[\"']")
TYPED_LIST: Final = re.compile(rb'\[\s{0,8}"' + _JAVA.replace(rb"{1,12}", rb"{2,12}") + rb';?"\s{0,8},\s{0,8}[\[{"\d]')
MAX_LISTS: Final = 2_000
"""Lists of a document whose first member is read."""
_DOTNET: Final = re.compile(
    rb"(?:\$types?|__type)" + _KEY_END + rb"(?:\{\s{0,8})?[\"']"
    rb"([A-Za-z_][\w.+`]{2,200})(?:\[[^\"']{0,400}\])?(?:,\s{0,4}[A-Za-z_][\w.]{1,120}|:#[A-Za-z_][\w.]{1,120})"
)
_ESCAPE: Final = re.compile(rb"\\(?:u00([2-7][0-9a-fA-F])|x([2-7][0-9a-fA-F])|(/))")
_RAW_PICKLE: Final = re.compile(rb"\\u0080\\u000[2-5](?:[^\"\\]|\\.)*", re.DOTALL)
_RAW_ESCAPE: Final = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PLAIN_ESCAPES: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def unescape(head: bytes) -> bytes:
    r"""Replace escapes of ASCII characters: parsers accept a key or class that is spelled so.

    >>> unescape(b'{"\\u0040type": "a\\/b"}')
    b'{"@type": "a/b"}'
    """
    return _ESCAPE.sub(_letter, head, count=MAX_ESCAPES)


def _letter(escape: re.Match[bytes]) -> bytes:
    if escape[3]:
        return escape[3]
    letter = bytes((int(escape[1] or escape[2], 16),))
    return b"\\" + letter if letter in b'"\\' else letter


def typed_lists(head: bytes) -> list[str]:
    """Return the classes of lists whose first member is a class of Java, as Jackson writes an object."""
    names: dict[str, None] = {}
    at = head.find(b"[")
    for _ in range(MAX_LISTS):
        if at < 0 or len(names) >= MAX_NAMES:
            break
        match = TYPED_LIST.match(head, at)
        if match:
            names[match[1].decode("ascii", "replace")] = None
        at = head.find(b"[", at + 1)
    return list(names)


def find_types(head: bytes) -> Iterator[tuple[str, list[str]]]:
    """Yield each format that a document has, with the names of its classes.

    >>> list(find_types(b'{"@type": "com.sun.rowset.JdbcRowSetImpl"}'))
    [('fastjson', ['com.sun.rowset.JdbcRowSetImpl'])]
    >>> list(find_types(b'{"@type": "Person", "$type": "app.feed.post", "class": "a.b.C"}'))
    []
    """
    if b'"py/' in head:
        found = list(islice(_JSONPICKLE.finditer(head), MAX_NAMES))
        named = [_jsonpickle_name(match) for match in found if match[1] not in _HARMLESS_KEYS]
        if found:
            yield "jsonpickle", [name for name in named if name]
    if b"@" in head:
        if b"@class" in head:
            yield from _matches("jackson", _JACKSON, head)
        if b"@type" in head:
            yield from _matches("fastjson", _FASTJSON, head)
    listed = typed_lists(head)
    if listed:
        yield "jackson", listed
    dollar = b"$" in head
    if (dollar and b"$type" in head) or b'"__type"' in head:
        yield from _matches("dotnet-json", _DOTNET, head)
    if dollar and b"_$$ND_FUNC$$_" in head:
        yield "node-serialize", []


def _matches(format_: str, pattern: re.Pattern[bytes], head: bytes) -> Iterator[tuple[str, list[str]]]:
    names = [match[1].decode("ascii", "replace") for match in islice(pattern.finditer(head), MAX_NAMES)]
    if names:
        yield format_, list(dict.fromkeys(names))


def _jsonpickle_name(match: re.Match[bytes]) -> str:
    if match[1] == b"repr":
        return "builtins.eval"  # jsonpickle evaluates it
    text = (match[2] or b"").decode("ascii", "replace")
    return text.partition("/")[0] if match[1] == b"mod" else text


def find_raw_pickle(head: bytes) -> bytes:
    r"""Return the pickle that a JSON string holds as escaped characters; empty: there is none.

    >>> find_raw_pickle(b'{"a": "\\u0080\\u0004N."}')
    b'\x80\x04N.'
    """
    found = _RAW_PICKLE.search(head)
    return _RAW_ESCAPE.sub(_raw_letter, found[0]) if found else b""


def _raw_letter(escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        return bytes((int(escape[1], 16) & 0xFF,))
    return _PLAIN_ESCAPES.get(escape[2], escape[2])
