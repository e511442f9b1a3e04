"""Detection of serialisation formats in values of a cache: formats that run code, or cost much work, when loaded.

Only names are reported: the format, and the names that it would import; ``?`` if a pickle is too long to be followed to
its end. The content never leaves this file, nothing is loaded, the work for a response is bounded (a few milliseconds
at worst), and no input makes it raise.
"""

import re
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final

from backwatch.collector import names
from backwatch.collector.payload import canaries
from backwatch.collector.payload.budget import SharedBudget, ValueBudget
from backwatch.collector.payload.hostile_globals import is_hostile
from backwatch.collector.payload.inspection import MAX_BYTES, Inspection, is_plain
from backwatch.collector.payload.pickle_search import NOTORIOUS
from backwatch.collector.payload.pickles import UNSEEN
from backwatch.collector.payload.response_indicators import add_indicators
from backwatch.collector.runtime.record import Facts

MAX_GLOBALS: Final = 16
MAX_GLOBALS_CHARACTERS: Final = 512
MAX_NAME_CHARACTERS: Final = 120
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
_MARKS: Final = (b"\x80", "\x80", "\udc80")
_MARKED: Final = (b"!\x80", "!\x80", "!\udc80")
_MARK_CHARACTERS: Final = 300
"""Characters of a text within which a pickle begins that the driver has decoded as latin-1."""
_PLAIN_BYTES: Final = 2_048
_CLEAN: Final = re.compile(r"[^\w.?$-]")


def detect_formats(reply: object) -> Facts:
    """Return the facts about a response's format; empty if it has none of the known formats.

    Args:
        reply: A value as the driver returned it; of a list, tuple or mapping the first few values are inspected.

    >>> detect_formats(b"cos\\nsystem\\n(S'id'\\ntR.")
    (('backwatch.payload.format', 'pickle'), ('backwatch.payload.globals', 'os.system'))
    """
    facts = _format_facts(reply)
    return add_indicators(facts, ["canary"]) if canaries.has_canaries() and canaries.contains_canary(reply) else facts


def describe_written(values: object) -> Facts:
    """Return the fact of values that the app writes; empty if they have none of the formats.

    >>> describe_written([b"\\x80\\x04}."])
    (('backwatch.payload.written', 'pickle'),)
    """
    facts = dict(_format_facts(values))
    if names.PAYLOAD_FORMAT not in facts:
        return ()
    containers = str(facts.get(names.PAYLOAD_CONTAINERS, "")).split(",")
    forms = "+".join(word for word in (str(facts[names.PAYLOAD_FORMAT]), *containers) if word)
    loaded = facts.get(names.PAYLOAD_GLOBALS)
    return ((names.PAYLOAD_WRITTEN, f"{forms},{loaded}" if loaded else forms),)


def _format_facts(reply: object) -> Facts:
    if isinstance(reply, (bytes, str)):
        # A short word or number, as caches mostly return: too short for base64, and other formats need punctuation.
        size = len(reply)
        if size < 3 or (size <= SHORT and reply.isalnum()):
            return ()
        data = _bytes(reply) if isinstance(reply, str) else reply
        if size <= _PLAIN_BYTES and is_plain(data):
            return ()
        inspection = Inspection(ValueBudget())
        inspection.inspect(data, cut=len(data) < size)
        return _facts(inspection.format, inspection.containers, inspection.names)
    if not isinstance(reply, (list, tuple, dict)):
        return ()
    format_, containers, found = "", dict[str, None](), dict[str, None]()
    total, values = SharedBudget(), sorted(_select_values(reply), key=len)
    for inspected, value in enumerate(values):
        data = _bytes(value) if isinstance(value, str) else value
        if len(data) < 3 or (len(data) <= _PLAIN_BYTES and is_plain(data)):
            continue
        budget = total.allocate(len(values) - inspected)
        inspection = Inspection(budget)
        inspection.inspect(data, cut=len(data) < len(value))
        total.return_unused(budget)
        if inspection.format and (not format_ or (inspection.names and not found)):
            format_ = inspection.format
        containers.update(inspection.containers)
        found.update(inspection.names)
    return _facts(format_, containers, found)


def _select_values(reply: "list[object] | tuple[object, ...] | dict[object, object]") -> list[bytes | str]:
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


def _facts(format_: str, containers: Iterable[str], names_: Iterable[str]) -> Facts:
    if not format_:
        return ()
    facts: Facts = ((names.PAYLOAD_FORMAT, format_),)
    if containers:
        facts = (*facts, (names.PAYLOAD_CONTAINERS, ",".join(sorted(containers))))
    cleaned = (_clean(name) for name in names_)
    reported = sorted(dict.fromkeys(name for name in cleaned if _plain(name) not in HARMLESS), key=_rank)
    if len(reported) > 1 and _rank(reported[0]) == 0:
        reported = [name for name in reported if name != UNSEEN]  # the hostile name is enough
    if not reported:
        return facts
    text = ",".join(reported[:MAX_GLOBALS])
    if len(text) > MAX_GLOBALS_CHARACTERS:
        text = text[:MAX_GLOBALS_CHARACTERS].rpartition(",")[0]
    return (*facts, (names.PAYLOAD_GLOBALS, text))


def _clean(name: str) -> str:
    """Return a name as it is reported: PHP and Ruby separate its parts otherwise."""
    return _CLEAN.sub("?", name.replace("\\", ".").replace("::", "."))[:MAX_NAME_CHARACTERS]


def _rank(name: str) -> int:
    """Return a sort key: hostile names come first, so that harmless ones cannot push them over the bound."""
    if name == UNSEEN:
        return 1
    return 0 if is_hostile(name) else 2 if name.partition(".")[0] in NOTORIOUS else 3


def _plain(name: str) -> str:
    module, _, rest = name.partition(".")
    return f"{_RENAMED[module]}.{rest}" if module in _RENAMED else name


def _bytes(text: str) -> bytes:
    """Return the bytes of a decoded text: drivers decode pickles as latin-1 or to surrogates."""
    if len(text) <= MAX_BYTES and text.isascii():
        return text.encode()
    head = text[:MAX_BYTES]
    if "\x80" in head[:_MARK_CHARACTERS]:
        return head.encode("latin-1", "replace")
    try:
        return head.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return head.encode("utf-8", "replace")
