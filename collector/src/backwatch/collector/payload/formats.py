"""Detection of serialisation formats in values of a cache: formats that run code, or cost much work, when loaded.

Only names are reported: the format, and the names that it would import; ``?`` if a pickle is too long to be followed to
its end. The content never leaves this file, nothing is loaded, the work for a response is bounded (a few milliseconds
at worst), and no input makes it raise.
"""

import binascii
import re
import zlib
from collections import deque
from itertools import islice
from typing import Final

from backwatch.collector import names
from backwatch.collector.payload import canaries
from backwatch.collector.payload.budget import WINDOW_BYTES, SharedBudget, ValueBudget
from backwatch.collector.payload.hostile_globals import is_hostile
from backwatch.collector.payload.pickle_search import NOTORIOUS
from backwatch.collector.payload.pickles import UNSEEN, PickleWalk
from backwatch.collector.payload.response_indicators import add_indicators
from backwatch.collector.runtime.record import Facts

MAX_GLOBALS: Final = 16
MAX_GLOBALS_CHARACTERS: Final = 512
SHORT: Final = 16
"""A word of at most so many characters is too short for any of the formats."""
MAX_VALUES: Final = 16
"""Values inspected in one response, and as many more that begin like a pickle."""
MAX_MEMBERS: Final = 2_000
"""Members of a response that are visited to find them."""

HARMLESS: Final = frozenset(
    f"{module}.{name}"
    for module, known in {
        "builtins": "set frozenset bytearray bytes complex list dict tuple str int float bool object slice range",
        "datetime": "datetime date time timedelta timezone tzinfo",
        "zoneinfo": "ZoneInfo ZoneInfo._unpickle",
        "decimal": "Decimal",
        "fractions": "Fraction",
        "collections": "OrderedDict defaultdict deque Counter",
        "uuid": "UUID SafeUUID",
        "copyreg": "_reconstructor __newobj__",
        "_codecs": "encode",
        "ipaddress": "IPv4Address IPv6Address IPv4Network IPv6Network",
        "pathlib": "PurePosixPath PureWindowsPath PosixPath WindowsPath",
        "numpy": "dtype ndarray",
        "numpy.core.multiarray": "_reconstruct scalar",
        "numpy._core.multiarray": "_reconstruct scalar",
        "django.utils.safestring": "SafeString SafeText",
        "http": "HTTPStatus HTTPMethod",
        "http.cookies": "BaseCookie SimpleCookie Morsel",
        "http.cookiejar": "Cookie CookieJar DefaultCookiePolicy",
        "urllib.parse": "SplitResult SplitResultBytes ParseResult ParseResultBytes DefragResult DefragResultBytes",
        "requests.models": "Response",
        "requests.cookies": "RequestsCookieJar",
        "requests.structures": "CaseInsensitiveDict",
        "signal": "Signals",
        "socket": "AddressFamily SocketKind",
    }.items()
    for name in known.split()
)
"""Globals that only hold data. All others are reported."""
_RENAMED: Final = {"__builtin__": "builtins", "copy_reg": "copyreg", "UserDict": "collections"}
_STARTS: Final = (
    (b"\xac\xed\x00\x05", "java"),
    (b"\x00\x01\x00\x00\x00\xff\xff\xff\xff", "dotnet"),
    (b"\x04\x08o", "ruby"),
    (b"\x04\x08[", "ruby"),
    (b"\x04\x08{", "ruby"),
    (b"\x04\x08I", "ruby"),
    (b"\x04\x08U", "ruby"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"PK\x03\x04", "zip"),
    (b"\x7fELF", "elf"),
)
_BASE64_STARTS: Final = (b"gA", b"rO0AB", b"H4sI")
"""Prefixes of pickles of protocol 2 and up, Java objects and gzip in base64."""
_NOTABLE: Final = frozenset(start[0] for start, _ in _STARTS) | frozenset(b"\x1fxgrH")
_MARKS: Final = (b"\x80", "\x80", "\udc80")
_MARKED: Final = (b"!\x80", "!\x80", "!\udc80")
_MOST_METADATA: Final = 200
_MOST_CHARACTERS: Final = 4 * WINDOW_BYTES
_PHP: Final = re.compile(rb'[OC]:\d{1,4}:"[\w\\]{1,200}":\d')
_YAML: Final = re.compile(
    rb"(?:\A|[\n:\-\[{,?]\s{0,8})!(?:!|<tag:yaml\.org,2002:)python/(?:object/apply|object/new|object|name|module):([\w.]{1,120})"
)
_YAML_OTHER: Final = re.compile(
    rb"(?:\A|[\n:\-\[{,?]\s{0,8})!(?:ruby/(?:object|hash|struct|class)|!javax?\.|!(?:com|org)\.)"
)
_JSONPICKLE: Final = re.compile(
    rb'"py/(?:object|type|function|reduce|newobj)"\s{0,8}:\s{0,8}[\[{]?\s{0,8}(?:"([\w.]{1,120})")?'
)
_FIRST: Final = frozenset(b"(]})cNIJKLMFGSVTUXBCP\x80\x82\x83\x84\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x95\x96")
"""First bytes of pickles without the prefix of protocol 2 and up: opcodes that need nothing on the stack."""
_CLEAN: Final = re.compile(r"[^\w.?-]")


def detect_formats(reply: object) -> Facts:
    """Return the facts about a response's format; empty if it has none of the known formats.

    Args:
        reply: A value as the driver returned it; of a list, tuple or mapping the first few values are inspected.

    >>> detect_formats(b"cos\\nsystem\\n(S'id'\\ntR.")
    (('backwatch.payload.format', 'pickle'), ('backwatch.payload.globals', 'os.system'))
    """
    facts = _format_facts(reply)
    return add_indicators(facts, ["canary"]) if canaries.has_canaries() and canaries.contains_canary(reply) else facts


def _format_facts(reply: object) -> Facts:
    if isinstance(reply, (bytes, str)):
        # A short word or number, as caches mostly return: too short for base64, and other formats need punctuation.
        if len(reply) <= SHORT and reply.isalnum():
            return ()
        return _facts(*_inspect(reply, ValueBudget()))
    if not isinstance(reply, (list, tuple, dict)):
        return ()
    format_, found = "", dict[str, None]()
    total, values = SharedBudget(), sorted(_some(reply), key=len)
    for inspected, value in enumerate(values):
        budget = total.allocate(len(values) - inspected)
        value_format, value_globals = _inspect(value, budget)
        total.return_unused(budget)
        if value_format and (not format_ or value_globals):
            format_ = value_format
        found.update(dict.fromkeys(value_globals))
    return _facts(format_, list(found))


def _some(reply: "list[object] | tuple[object, ...] | dict[object, object]") -> list[bytes | str]:
    """Return texts of a response: the first few, and among the first thousands those that begin like a pickle."""
    first: list[bytes | str] = []
    marked: list[bytes | str] = []
    level: deque[object] = deque((reply,))
    for _ in range(MAX_MEMBERS):
        if not level:
            break
        value = level.popleft()
        if isinstance(value, (bytes, str)):
            if (value[:1] in _MARKS or value[:2] in _MARKED) and len(marked) < MAX_VALUES:
                marked.append(value)
            elif len(first) < MAX_VALUES:
                first.append(value)
        elif isinstance(value, dict):
            level.extend(islice(value.values(), MAX_MEMBERS))
        elif isinstance(value, (list, tuple)):
            level.extend(value[:MAX_MEMBERS])
        if len(level) > 2 * MAX_MEMBERS:
            level = deque(islice(level, MAX_MEMBERS))
    return marked + first


def _facts(format_: str, globals_: list[str]) -> Facts:
    if not format_:
        return ()
    reported = sorted((name for name in globals_ if _plain(name) not in HARMLESS), key=_rank)
    if len(reported) > 1 and _rank(reported[0]) == 0:
        reported = [name for name in reported if name != UNSEEN]  # the hostile name is enough
    if not reported:
        return ((names.PAYLOAD_FORMAT, format_),)
    text = ",".join(_CLEAN.sub("?", name)[:120] for name in reported[:MAX_GLOBALS])
    if len(text) > MAX_GLOBALS_CHARACTERS:
        text = text[:MAX_GLOBALS_CHARACTERS].rpartition(",")[0]
    return ((names.PAYLOAD_FORMAT, format_), (names.PAYLOAD_GLOBALS, text))


def _rank(name: str) -> int:
    """Return a sort key: hostile names come first, so that harmless ones cannot push them over the bound."""
    if name == UNSEEN:
        return 1
    return 0 if is_hostile(name) else 2 if name.partition(".")[0] in NOTORIOUS else 3


def _plain(name: str) -> str:
    module, _, rest = name.partition(".")
    return f"{_RENAMED[module]}.{rest}" if module in _RENAMED else name


def _inspect(value: bytes | str, budget: ValueBudget, depth: int = 0, *, cut: bool = False) -> tuple[str, list[str]]:
    if isinstance(value, str):
        data, cut = _bytes(value), len(value) > _MOST_CHARACTERS
    else:
        data = value
    if len(data) < 3:
        return "", []
    begin = _pickle_offset(data)
    if begin and depth < 2:
        rest = data[begin : begin + _MOST_CHARACTERS]
        format_, globals_ = _inspect(rest, budget, depth + 1, cut=cut or len(rest) < len(data) - begin)
        if format_:
            return format_, globals_
    if data[0] == 0x80 and data[1] > 1:
        if data[1] > 5:
            return "", []
        walk = PickleWalk(data, budget, marked=True, cut=cut)
        return ("pickle", list(walk.names)) if walk.stopped > 0 or walk.names or not walk.broken else ("", [])
    if data[0] in _NOTABLE:
        inner = _inner(data, budget, depth) if depth < 2 else None
        if inner is not None:
            return inner
        for start, format_ in _STARTS:
            if data.startswith(start):
                return format_, []
    head = data[: min(WINDOW_BYTES, budget.read)]
    budget.read -= len(head)
    return _text_formats(head) or _old_pickle(data, budget, cut=cut)


def _pickle_offset(data: bytes) -> int:
    """Return where a pickle begins behind a library's own prefix; 0: there is no such prefix.

    cachelib, and with it Flask-Caching, writes ``!`` before a pickle; dogpile.cache writes metadata and a bar.
    """
    if data[0] == 0x21 and data[1] == 0x80:
        return 1
    return data.find(b"|\x80", 0, _MOST_METADATA) + 1 if data[0] == 0x7B else 0


def _bytes(text: str) -> bytes:
    """Return the bytes of a decoded text: drivers decode pickles as latin-1 or to surrogates."""
    head = text[:_MOST_CHARACTERS]
    if head[:1] == "\x80" or head[:2] == "!\x80":
        return head.encode("latin-1", "replace")
    try:
        return head.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return head.encode("utf-8", "replace")


def _inner(data: bytes, budget: ValueBudget, depth: int) -> tuple[str, list[str]] | None:
    """Return the format inside compression or base64; the compression's own format if there is none inside."""
    most = max(1, min(WINDOW_BYTES, budget.read))
    if data.startswith((b"\x1f\x8b\x08", b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")):
        unpacker = zlib.decompressobj(47)
        try:
            opened = unpacker.decompress(data[: 2 * most], most)
        except zlib.error:
            return None
        budget.read -= len(opened)
        format_, globals_ = _inspect(opened, budget, depth + 1, cut=not unpacker.eof)
        return (format_ or ("gzip" if data[0] == 0x1F else "zlib")), globals_
    if data.startswith(_BASE64_STARTS):
        head = data[: most - most % 4]
        cut = len(head) < len(data)
        budget.read -= len(head)
        head = head.translate(_URL_SAFE).rstrip(b"=\r\n")
        try:
            opened = binascii.a2b_base64(head[: len(head) - len(head) % 4] + _pad_base64(head), strict_mode=True)
        except binascii.Error:
            return None
        format_, globals_ = _inspect(opened, budget, depth + 1, cut=cut)
        return (format_, globals_) if format_ else None
    return None


_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")


def _pad_base64(head: bytes) -> bytes:
    rest = head[len(head) - len(head) % 4 :]
    return rest + b"=" * (-len(rest) % 4) if len(rest) > 1 else b""


def _text_formats(head: bytes) -> tuple[str, list[str]] | None:
    if head[:2] in (b"O:", b"C:") and _PHP.match(head):
        return "php", []
    if b"!" in head:
        if b"python/" in head:
            found = [match[1].decode("ascii", "replace") for match in islice(_YAML.finditer(head), MAX_GLOBALS)]
            if found:
                return "yaml", [name if "." in name else f"{name}.?" for name in found]
        if any(mark in head for mark in (b"!ruby/", b"!java", b"!com.", b"!org.")) and _YAML_OTHER.search(head):
            return "yaml", []
    if b'"py/' in head:
        matches = list(islice(_JSONPICKLE.finditer(head), MAX_GLOBALS))
        if matches:
            return "jsonpickle", [match[1].decode("ascii", "replace") for match in matches if match[1]]
    return ("node-serialize", []) if b"_$$ND_FUNC$$_" in head else None


def _old_pickle(data: bytes, budget: ValueBudget, *, cut: bool) -> tuple[str, list[str]]:
    """Recognise protocols 0 and 1, which have no prefix: only if they import and call something, or fit as a whole."""
    if data[0] not in _FIRST:
        return "", []
    walk = PickleWalk(data, budget, cut=cut)
    if (walk.names and walk.runs) or walk.is_program:
        return "pickle", list(walk.names)
    whole = walk.stopped == len(data) and data[:1] in (b"(", b"]", b"}") and len(data) >= 5
    return ("pickle", list(walk.names)) if whole else ("", [])
