"""Inspection of one value: it recognises a format, opens containers, and follows what it finds inside.

The bounds: ``MAX_DEPTH`` containers inside each other, and one ``ValueBudget`` of opcodes and bytes for all of them.
"""

import re
from collections.abc import Callable
from itertools import islice
from typing import Final

from backwatch.collector.payload import containers, foreign_classes, typed_json
from backwatch.collector.payload.budget import WINDOW_BYTES, ValueBudget
from backwatch.collector.payload.containers import Opener, Part
from backwatch.collector.payload.encoded_runs import MIN_RUN, RunSearch
from backwatch.collector.payload.msgpack_parts import FIRST as MSGPACK_FIRST
from backwatch.collector.payload.msgpack_parts import MessagePack
from backwatch.collector.payload.pickle_search import NOTORIOUS
from backwatch.collector.payload.pickles import PickleWalk
from backwatch.collector.payload.yaml_tags import find_tags

MAX_DEPTH: Final = 5
"""Containers inside each other that are opened."""
MAX_BYTES: Final = 4 * WINDOW_BYTES
"""Bytes of a part that are followed, at most."""
MAX_PARTS: Final = 64
"""Parts of one value that are inspected, at all depths together."""
MAX_PICKLES: Final = 16
"""Pickles one behind the other that are followed."""
_PREFIX_BYTES: Final = 300
"""Bytes within which a pickle begins behind a prefix: a length, a signature, a cache's metadata."""
_MAX_PREFIXES: Final = 8
_PROBED_OPCODES: Final = 64
"""Opcodes by which a pickle behind a prefix is distinguished from chance."""
_BINARY_PREFIXES: Final = (4, 8, 16, 20, 28, 32, 48, 64)
"""Lengths of the prefixes behind which other formats than pickles are found: lengths and signatures."""
_TAIL_BYTES: Final = 64
"""Bytes that may follow a pickle behind a prefix that imports nothing: a signature."""
_PICKLE_STARTS: Final = tuple(bytes((0x80, version)) for version in range(2, 6))
_FIRST: Final = frozenset(b"(]})cNIJKLMFGSVTUXBCP\x80\x82\x83\x84\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x95\x96")
"""First bytes of pickles without the prefix of protocol 2 and up: opcodes that need nothing on the stack."""
_OLD_CALL: Final = re.compile(
    rb"\(?[ci](?:" + b"|".join(sorted(module.encode() for module in NOTORIOUS)) + rb")(?:\.\w{1,40}){0,3}\r?\n"
    rb"[\w.]{1,80}\r?\n"
)
_COLON: Final = 0x3A
_Names = Callable[[bytes], "list[str]"]


def _no_names(_head: bytes) -> list[str]:
    return []


_CONTAINERS: Final[tuple[tuple[bytes, str, Opener], ...]] = (
    (b"\x1f\x8b\x08", "gzip", containers.open_zlib),
    *((start, "zlib", containers.open_zlib) for start in (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")),
    (b"BZh", "bzip2", containers.open_bzip2),
    (b"\xfd7zXZ\x00", "xz", containers.open_xz),
    (b"]\x00\x00", "lzma", containers.open_xz),
    (b"PK\x03\x04", "zip", containers.open_zip),
    (b"\x93NUMPY", "npy", containers.open_npy),
    (b"ZF0x", "zlib", containers.open_zfile),
)
_FORMATS: Final[tuple[tuple[bytes, str, _Names], ...]] = (
    (b"\xac\xed\x00\x05", "java", foreign_classes.java_classes),
    (b"\x00\x01\x00\x00\x00\xff\xff\xff\xff", "dotnet", foreign_classes.dotnet_classes),
    *(
        (b"\x04\x08" + kind, "ruby", foreign_classes.ruby_classes)
        for kind in (b"o", b"[", b"{", b"I", b"U", b"u", b"S", b"e")
    ),
    (b"\x28\xb5\x2f\xfd", "zstd", _no_names),
    (b"\x04\x22\x4d\x18", "lz4", _no_names),
    (b"\x02\x21\x4c\x18", "lz4", _no_names),
    (b"\x7fELF", "elf", _no_names),
)
"""Formats that are recognised by their first bytes, and how to read the names of their classes."""
_OPENERS: Final[dict[bytes, list[tuple[bytes, str, Opener]]]] = {}
_READERS: Final[dict[bytes, list[tuple[bytes, str, _Names]]]] = {}
for _container in _CONTAINERS:
    _OPENERS.setdefault(_container[0][:2], []).append(_container)
for _format in _FORMATS:
    _READERS.setdefault(_format[0][:2], []).append(_format)
_STARTS: Final = frozenset((*_OPENERS, *_READERS, *_PICKLE_STARTS, b"O:", b"C:", b"a:", b"!!"))
"""First two bytes of everything that is recognised by them."""
_RUNS: Final = RunSearch(_STARTS)


def is_plain(data: bytes) -> bool:
    """Return whether a short text can hold none of the formats; the usual values end here.

    >>> is_plain(b'{"name": "Ann", "type": "guest", "class": 2}'), is_plain(b"!!python/name:os.system")
    (True, False)
    """
    return (
        data[:2] not in _STARTS
        and data[0] not in _FIRST
        and data[1] != _COLON
        and b'"py/' not in data
        and b"__" not in data
        and _RUNS.is_usual_text(data)
        and not (b"[" in data and typed_json.TYPED_LIST.search(data))
    )


class Inspection:
    """The formats, containers and names found in one value.

    Attributes:
        format: The first format, or the first that names something; empty: none.
        containers: Containers that were opened, each once.
        names: Names that would be loaded, each once.
    """

    __slots__ = ("_budget", "_parts_left", "containers", "format", "names")

    def __init__(self, budget: ValueBudget) -> None:
        self._budget = budget
        self._parts_left = MAX_PARTS
        self.format = ""
        self.containers: dict[str, None] = {}
        self.names: dict[str, None] = {}

    def _add(self, format_: str, names: "list[str] | dict[str, None]") -> bool:
        if not self.format or (names and not self.names):
            self.format = format_
        self.names.update(dict.fromkeys(names))
        return True

    def inspect(self, data: bytes, depth: int = 0, *, cut: bool = False) -> bool:
        """Inspect data, and return whether it has one of the formats.

        Args:
            depth: Containers around it.
            cut: True if the value is longer than ``data``.
        """
        self._parts_left -= 1
        if len(data) < 3 or depth > MAX_DEPTH or self._parts_left < 0:
            return False
        if data[0] == 0x80 and data[1] > 1:
            return data[1] <= 5 and self._pickles(data, depth, cut=cut)
        start = data[:2]
        if start in _STARTS:
            opened = self._open(data, depth)
            if opened is not None:
                return opened
            for prefix, format_, names_of in _READERS.get(start, ()):
                if data.startswith(prefix):
                    return self._add(format_, names_of(self._head(data)))
        if data[0] in MSGPACK_FIRST and self._msgpack(data, depth):
            return True
        return (
            self._old_pickle(data, depth, cut=cut)
            or self._behind_prefix(data, depth, cut=cut)
            or self._text(data, depth, cut=cut)
        )

    def _head(self, data: bytes) -> bytes:
        head = data[: max(0, min(WINDOW_BYTES, self._budget.read))]
        self._budget.read -= len(head)
        return head

    def _open(self, data: bytes, depth: int) -> bool | None:
        """Open a container; ``None``: it is none."""
        for prefix, name, open_ in _OPENERS.get(data[:2], ()):
            if not data.startswith(prefix):
                continue
            parts = open_(data, self._budget)
            if parts is None:
                if prefix in (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"ZF0x", b"]\x00\x00"):
                    return None
                parts = []
            if not self._inspect_parts(parts, depth, name):
                self._add(name, [])
            return True
        return None

    def _inspect_parts(self, parts: "list[Part]", depth: int, container: str) -> bool:
        found = False
        for part in parts:
            if self.inspect(part.data, depth + 1, cut=part.cut):
                found = True
        if found:
            self.containers[container] = None
        return found

    def _pickles(self, data: bytes, depth: int, *, cut: bool) -> bool:
        """Follow a pickle, and what stands behind it."""
        found = False
        for _ in range(MAX_PICKLES):
            marked = data[0] == 0x80
            walk = PickleWalk(data, self._budget, marked=marked, cut=cut)
            if not ((walk.stopped > 0 or walk.names or not walk.broken) if marked else (walk.names and walk.runs)):
                break
            found = self._add("pickle", walk.names)
            rest = data[walk.stopped : walk.stopped + MAX_BYTES] if walk.stopped > 0 else b""
            if len(rest) < 3:
                break
            cut = cut or len(rest) < len(data) - walk.stopped
            if rest[:2] not in _PICKLE_STARTS and rest[0] not in b"c(\x8c":
                if rest[:2] in _STARTS:
                    self.inspect(rest, depth + 1, cut=cut)
                break
            data = rest
        return found

    def _old_pickle(self, data: bytes, depth: int, *, cut: bool) -> bool:
        """Follow protocols 0 and 1, which have no prefix: only if they import and call, or fit as a whole."""
        if data[0] not in _FIRST:
            return False
        walk = PickleWalk(data, self._budget, cut=cut)
        whole = walk.stopped == len(data) and data[:1] in (b"(", b"]", b"}") and len(data) >= 5
        if not ((walk.names and walk.runs) or walk.is_program or whole):
            return False
        self._add("pickle", walk.names)
        rest = data[walk.stopped : walk.stopped + MAX_BYTES] if walk.stopped > 0 else b""
        if rest[:2] in _STARTS or rest[:1] in (b"c", b"(", b"\x8c"):
            self.inspect(rest, depth + 1, cut=cut)
        return True

    def _behind_prefix(self, data: bytes, depth: int, *, cut: bool) -> bool:
        """Look for a pickle behind a length, a signature or a library's own prefix, or for compressed data there."""
        at = 0
        for _ in range(_MAX_PREFIXES):
            at = data.find(b"\x80", at + 1, _PREFIX_BYTES)
            if at < 0:
                break
            if data[at : at + 2] in _PICKLE_STARTS:
                rest = data[at : at + MAX_BYTES]
                long = cut or len(rest) < len(data) - at
                walk = PickleWalk(rest, ValueBudget(_PROBED_OPCODES, 4_096, 0, 0), marked=True, cut=long)
                whole = walk.stopped > 0 and len(rest) - walk.stopped <= _TAIL_BYTES
                if (walk.names or whole or walk.unfinished) and self.inspect(rest, depth + 1, cut=long):
                    self.containers["prefix"] = None
                    return True
        for at in _old_starts(data):
            if self._old_pickle(data[at : at + MAX_BYTES], depth + 1, cut=cut):
                self.containers["prefix"] = None
                return True
        if data[:_TAIL_BYTES].isascii() and b"\0" not in data[:8]:
            return False
        for size in _BINARY_PREFIXES:
            if data[size : size + 2] in _OPENERS:
                inner = Inspection(self._budget)
                inner._parts_left = self._parts_left
                if inner.inspect(data[size : size + MAX_BYTES], depth + 1, cut=cut) and inner.containers:
                    self._add(inner.format, inner.names)
                    self.containers.update({"prefix": None, **inner.containers})
                    return True
        return False

    def _msgpack(self, data: bytes, depth: int) -> bool:
        document = MessagePack(data, self._budget)
        if not document.whole:
            return False
        found = self._inspect_parts(document.parts[: containers.MAX_PARTS], depth, "msgpack")
        if document.names or (document.extensions and not found):
            found = self._add("msgpack", document.names)
        return found

    def _text(self, data: bytes, depth: int, *, cut: bool) -> bool:
        head = self._head(data)
        cut = cut or len(head) < len(data)
        if b"\0" in head:
            encoding = _utf_encoding(head)
            if not encoding:
                return False
            head = head.decode(encoding, "ignore").encode("utf-8", "ignore")
        if b"\\" in head and head[:2] != b"\\x":
            raw = typed_json.find_raw_pickle(head)
            if raw and self._inspect_parts([Part(raw, cut=False)], depth, "json"):
                return True
            head = typed_json.unescape(head)
        classes = foreign_classes.php_classes(head)
        found = bool(classes) and self._add("php", classes or [])
        if b"!" in head:
            tagged, names = find_tags(head)
            found = (tagged and self._add("yaml", names)) or found
        if b'"' in head or b"'" in head:
            for format_, names in typed_json.find_types(head):
                found = self._add(format_, names) or found
        if len(head) >= MIN_RUN:
            for encoding, part in _RUNS.find(head, self._budget, cut=cut):
                found = self._inspect_parts([part], depth, encoding) or found
        return found


def _old_starts(data: bytes) -> list[int]:
    """Return where pickles without a prefix of their own may begin: near a global of a module known from exploits."""
    starts: list[int] = []
    if b"\n" in data[:_PREFIX_BYTES]:
        for call in islice(_OLD_CALL.finditer(data, 1, 2 * _PREFIX_BYTES), _MAX_PREFIXES):
            starts.append(call.start())
            mark = data.rfind(b"(", max(0, call.start() - _TAIL_BYTES), call.start())
            if mark > 0:
                starts.append(mark)
    if b"\x93" in data[:_PREFIX_BYTES]:
        at = data.find(b"\x8c", 1, _PREFIX_BYTES)
        while at > 0 and len(starts) < 2 * _MAX_PREFIXES:
            starts.append(at)
            at = data.find(b"\x8c", at + 1, _PREFIX_BYTES)
    return starts


def _utf_encoding(head: bytes) -> str:
    """Return the encoding of a text with zero bytes, by the rules of JSON and YAML; empty: it is no text."""
    if head[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    zeros = "".join("0" if byte == 0 else "x" for byte in head[:4])
    return {"000x": "utf-32-be", "0x0x": "utf-16-be", "x000": "utf-32-le", "x0x0": "utf-16-le"}.get(zeros, "")
