"""Serialised data behind prefixes, in encodings and in containers: the names inside are reported, nothing is loaded."""

import base64
import bz2
import gzip
import hashlib
import hmac
import io
import json
import lzma
import os
import pickle
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.collector.payload.budget import ValueBudget
from backwatch.collector.payload.containers import open_zip
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.payload.hostile_globals import is_hostile
from backwatch.collector.payload.inspection import Inspection, is_plain
from backwatch.collector.payload.msgpack_parts import MessagePack
from tests.services.cpu_time import least_cpu_s


class Calls:
    """Return a pickle that calls ``function(*arguments)`` when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


FUNCTIONS: tuple[Any, ...] = (vars(os)["system"], eval, subprocess.Popen, getattr)
HOSTILE = [
    *(pickle.dumps(Calls(function, "id"), protocol) for function in FUNCTIONS for protocol in range(6)),
    b"cos\nsystem\n(S'id'\ntR.",
    b"(S'id'\nios\nsystem\n.",
    b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93\x8c\x02id\x85R.",
    b"\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
]
DIGEST = hmac.new(b"key", b"value", "sha256").digest()


def archive(members: Mapping[str, bytes], compression: int = 0) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as written:
        for name, content in members.items():
            written.writestr(name, content)
    return file.getvalue()


def array_of(content: bytes) -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def packed(content: bytes, extension: bool) -> bytes:
    kind = b"\xc7%c\x2a" % len(content) if extension else b"\xc4%c" % len(content)
    return b"\x83\xa2id\x07\xa1l\x93\x01\xc0\xcb" + bytes(8) + b"\xa1v" + kind + content


def as_json(text: object) -> bytes:
    return json.dumps({"id": 7, "list": [1, {"value": text}]}).encode()


def base64_text(content: bytes) -> str:
    return base64.b64encode(content).decode()


FORMS: dict[str, Callable[[bytes], bytes | str]] = {
    "digest": lambda content: DIGEST + content,
    "length": lambda content: struct.pack(">I", len(content)) + content,
    "long length": lambda content: struct.pack("<Q", len(content)) + content,
    "hex digest": lambda content: DIGEST.hex().encode() + b":" + content,
    "hex digest before base64": lambda content: hashlib.sha1(b"").hexdigest().encode() + base64.b64encode(content),
    "expiry": lambda content: pickle.dumps(1764200000.5) + zlib.compress(content),
    "base64": base64.b64encode,
    "url-safe": lambda content: base64.urlsafe_b64encode(content).rstrip(b"="),
    "lines": base64.encodebytes,
    "twice": lambda content: base64.b64encode(base64.b64encode(content)),
    "hex": lambda content: content.hex(),
    "upper hex": lambda content: content.hex().upper(),
    "bytea": lambda content: "\\x" + content.hex(),
    "0x": lambda content: "0x" + content.hex(),
    "json": lambda content: as_json(base64_text(content)),
    "json with escapes": lambda content: as_json(base64_text(content)).replace(b"/", b"\\/"),
    "json in lines": lambda content: as_json(base64.encodebytes(content).decode()),
    "json in json": lambda content: as_json(as_json(base64_text(content)).decode()),
    "json hex": lambda content: as_json(content.hex()),
    "signed": lambda content: base64.urlsafe_b64encode(content).rstrip(b"=") + b":1tXYZa:c2lnbmF0dXJl",
    "signed and compressed": lambda content: b"." + base64.urlsafe_b64encode(zlib.compress(content)) + b".aRq1dw.c2ln",
    "old session": lambda content: base64.b64encode(DIGEST.hex().encode() + b":" + content),
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda content: lzma.compress(content, format=lzma.FORMAT_ALONE),
    "digest before zlib": lambda content: DIGEST + zlib.compress(content),
    "gzip of json": lambda content: gzip.compress(as_json(base64_text(content))),
    "msgpack": lambda content: packed(content, extension=False),
    "msgpack extension": lambda content: packed(content, extension=True),
    "torch": lambda content: archive({"archive/data.pkl": content, "archive/version": b"3\n"}),
    "zip": lambda content: archive({"readme": b"text" * 50, "data.pkl": content}, zipfile.ZIP_DEFLATED),
    "npy": array_of,
    "npz": lambda content: archive({"a.npy": array_of(content)}),
    "second pickle": lambda content: pickle.dumps({"a": 1}, 4) + content,
    "sixth pickle": lambda content: b"".join(pickle.dumps(number, 2) for number in range(5)) + content,
    "joblib": lambda content: b"ZF0x20               " + zlib.compress(content),
}


def globals_of(reply: object) -> list[str]:
    return str(dict(detect_formats(reply)).get(names.PAYLOAD_GLOBALS, "")).split(",")


def is_named(reply: object) -> bool:
    return any(is_hostile(name) for name in globals_of(reply))


@pytest.mark.parametrize("form", FORMS)
def test_hidden_pickle_is_named(form: str) -> None:
    missed = [content for content in HOSTILE if not is_named(FORMS[form](content))]
    assert missed == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("content", [b'{"a": 1, "class": "x"}', b"plain text, nothing else", pickle.dumps({"a": [1]})])
def test_hidden_harmless_data_names_nothing(form: str, content: bytes) -> None:
    assert globals_of(FORMS[form](content)) == [""]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("json", "base64"), ("gzip of json", "base64,gzip"), ("hex", "hex"), ("digest", "prefix"), ("npz", "npy,zip"),
        ("msgpack extension", "msgpack"), ("signed and compressed", "base64,zlib"), ("xz", "xz"),
    ],
)  # fmt: skip
def test_containers_are_reported(form: str, expected: str) -> None:
    found = dict(detect_formats(FORMS[form](HOSTILE[4])))
    assert (found[names.PAYLOAD_FORMAT], found[names.PAYLOAD_CONTAINERS]) == ("pickle", expected)


JAVA = "com.sun.rowset.JdbcRowSetImpl"
NET = "System.Windows.Data.ObjectDataProvider, PresentationFramework"


@pytest.mark.parametrize(
    ("document", "format_", "name"),
    [
        ("a: !%70ython/object/apply:os.system [x]", "yaml", "os.system"),
        ("a: !!%70ython/object/apply:os.system [x]", "yaml", "os.system"),
        ("!<tag:yaml.org,2002:python%2Fname:os.system> x", "yaml", "os.system"),
        ("%TAG !e! tag:yaml.org,2002:python/\n---\na: !e!object/apply:os.system [x]", "yaml", "os.system"),
        ("%TAG ! tag:yaml.org,2002:python/\n--- !object/apply:os.system [x]", "yaml", "os.system"),
        ("%TAG !! tag:yaml.org,2002:pyth\n--- !!on/object/apply:os.system [x]", "yaml", "os.system"),
        ("a: &b !!python/object/new:os.system [x]", "yaml", "os.system"),
        (f"- !!{JAVA} {{}}", "yaml", JAVA),
        (f'["{JAVA}", {{"a": 1}}]', "jackson", JAVA),
        (f'{{"a": [ "{JAVA}" , ["x"]]}}', "jackson", JAVA),
        (f'{{"@class": "{JAVA}"}}', "jackson", JAVA),
        (f'{{"@type":"L{JAVA};"}}', "fastjson", JAVA),
        (f'{{"\\u0040\\x74ype":"{JAVA}"}}', "fastjson", JAVA),
        (f'{{"$type":"{NET}, Version=4.0.0.0"}}', "dotnet-json", "System.Windows.Data.ObjectDataProvider"),
        (f'{{"__type":"{NET}"}}', "dotnet-json", "System.Windows.Data.ObjectDataProvider"),
        ('{"py\\/reduce": [{"py/function": "os.system"}]}', "jsonpickle", "os.system"),
        ('{"py/repr": "os/os.getpid()"}', "jsonpickle", "builtins.eval"),
        ('a:1:{i:0;O:10:"SoapClient":0:{}}', "php", "SoapClient"),
        ('cart|a:1:{i:0;O:+10:"SoapClient":0:{}}', "php", "SoapClient"),
        ("--- !ruby/object:Gem::Installer\ni: x", "yaml", "Gem.Installer"),
    ],
)
def test_class_that_a_document_builds_is_named(document: str, format_: str, name: str) -> None:
    for reply in (document, document.encode(), document.encode("utf-16")):
        found = dict(detect_formats(reply))
        assert (found.get(names.PAYLOAD_FORMAT), found.get(names.PAYLOAD_GLOBALS)) == (format_, name)


@pytest.mark.parametrize(
    "document",
    [
        {"type": "user", "class": "shop.models.Order", "@type": "Person", "@context": "https://schema.org"},
        {"$type": "app.feed.post", "__type": "com.vendor.db#Missing", "_class": "com.shop.Order"},
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo"},
        ["chat.message", {"a": 1}], ["example.com", {"a": 1}], [["a.b"], {"x": ["c.d", 1]}],
        {"text": "Use !!python/object/apply never! It's $5 @ C:\\temp | `[a](b)`"},
    ],
)  # fmt: skip
def test_ordinary_documents_are_none(document: object) -> None:
    assert detect_formats(json.dumps(document)) == ()
    assert detect_formats(json.dumps(document, indent=1)) == ()


@pytest.mark.parametrize("start", [b"(\xb5/\xfd", b"\x04\x22\x4d\x18"])
def test_container_that_cannot_be_opened_is_reported(start: bytes) -> None:
    assert dict(detect_formats(start + bytes(40)))[names.PAYLOAD_FORMAT] in {"zstd", "lz4"}


def test_callable_of_a_msgpack_extension_is_named() -> None:
    call = b"\x93\xa2os\xa6system\x91\xa2id"
    assert "os.system" in globals_of(b"\x81\xa1a\xc7%c\x00" % len(call) + call)


@given(
    st.binary(max_size=200),
    st.sampled_from(sorted(FORMS)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
)
@settings(max_examples=400)
def test_changed_forms_never_make_it_raise(data: bytes, form: str, changes: list[tuple[int, int]]) -> None:
    reply = FORMS[form](HOSTILE[len(data) % len(HOSTILE)] + data[:40])
    changed = bytearray(reply.encode() if isinstance(reply, str) else reply)
    for position, value in changes:
        changed[position % len(changed)] = value
    detect_formats(bytes(changed))
    MessagePack(bytes(changed), ValueBudget())
    open_zip(bytes(changed), ValueBudget())


@given(st.text(st.sampled_from("{}[]\"':,!%@$\\u0040typeclass_./ \n|&<>OC12;py-gASVx"), max_size=300))
@settings(max_examples=400)
def test_no_document_makes_it_raise(text: str) -> None:
    Inspection(ValueBudget()).inspect(text.encode())


@given(st.one_of(st.binary(min_size=3, max_size=100), st.text(min_size=3, max_size=60).map(str.encode)))
def test_plain_values_are_none_of_the_formats(data: bytes) -> None:
    inspection = Inspection(ValueBudget())
    if is_plain(data):
        assert not inspection.inspect(data)


@pytest.mark.parametrize(
    "unit", [b'["a.B",', b"!!a ", b"gASVAAAAAAAAAAAAAAAAAAAA ", b'{"@type":"a.', b"\x80\x02N.", b"a:1:{"]
)
def test_time_grows_no_faster_than_the_value(unit: bytes) -> None:
    small, large = (
        least_cpu_s(lambda size=size: detect_formats(b" " + unit * (size // len(unit)))) for size in (8_000, 64_000)
    )
    assert large < 24 * small + 0.002
