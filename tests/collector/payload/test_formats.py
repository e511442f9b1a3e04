"""Formats of cached values, recognised by their bytes: names only, never loaded, never raising, in bounded time."""

import base64
import builtins
import bz2
import collections
import datetime as dt
import decimal
import fractions
import gzip
import lzma
import os
import pickle
import subprocess
import uuid
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.collector.payload.budget import MAX_OPCODES
from backwatch.collector.payload.formats import MAX_GLOBALS, MAX_GLOBALS_CHARACTERS, detect_formats
from backwatch.collector.payload.pickles import PickleWalk
from tests.services.cpu_time import least_cpu_s

PROTOCOLS = range(6)
SYSTEM: Any = vars(os)["system"]
DATA: dict[str, Any] = {
    "when": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "day": dt.date(2026, 1, 1),
    "long": dt.timedelta(3),
    "id": uuid.UUID(int=7),
    "price": decimal.Decimal("1.5"),
    "third": fractions.Fraction(1, 3),
    "order": collections.OrderedDict(a=1),
    "count": collections.Counter("aab"),
    "last": collections.deque([1]),
    "bytes": b"\x00\xff",
    "set": {1, 2},
    "nothing": None,
    "frozen": frozenset((1,)),
    "text": "ä" * 300,
    "big": 1 << 400,
    "float": 1.5,
    "truth": (True, False),
    "many": list(range(300)),
}


class Calls:
    """Return a pickle that calls ``function(*arguments)`` when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


class OfTheApp:
    """An object of the app's own."""


BOMB = pickle.dumps(Calls(SYSTEM, "id"))


def globals_of(reply: object) -> str:
    return str(dict(detect_formats(reply)).get(names.PAYLOAD_GLOBALS, ""))


def format_of(reply: object) -> str:
    return str(dict(detect_formats(reply)).get(names.PAYLOAD_FORMAT, ""))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (SYSTEM, "posix.system"),
        (eval, "eval"),
        (subprocess.check_output, ".check_output"),
        (getattr, "getattr"),
    ],
)
def test_a_pickle_that_calls_something_is_named(function: Any, name: str, protocol: int) -> None:
    for value in (Calls(function, "id"), [1, {"a": Calls(function, "id")}]):
        assert format_of(pickle.dumps(value, protocol)) == "pickle"
        assert globals_of(pickle.dumps(value, protocol)).endswith(name)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_of_plain_data_names_nothing(protocol: int) -> None:
    assert detect_formats(pickle.dumps(DATA, protocol)) == ((names.PAYLOAD_FORMAT, "pickle"),)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_class_of_the_app_is_reported(protocol: int) -> None:
    assert globals_of(pickle.dumps(OfTheApp(), protocol)).endswith("test_formats.OfTheApp")


@pytest.mark.parametrize(
    "hostile",
    [
        b"cos\nsystem\n(S'id'\ntR.",
        b"(S'id'\nios\nsystem\n.",
        b"(cos\nsystem\nS'id'\no.",
        b"N0cos\nsystem\n(S'id'\ntR.",
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93\x8c\x02id\x85R.",
        b"\x80\x02Vos\nq\x010h\x01X\x06\x00\x00\x00system\x93(X\x02\x00\x00\x00idtR.",
        b"\x80\x04\x8c\x02os2\x8c\x06system\x93\x8c\x02id\x85R.",
        b"\x80\x04(\x8c\x01x1\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
        b"\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
        b"\x80\x04cos\r\nsystem\r\n(S'id'\r\ntR.",
    ],
)
def test_hand_written_pickles_are_named(hostile: bytes) -> None:
    assert globals_of(hostile) == "os.system"


def test_a_name_that_the_program_computes_is_reported_as_unknown() -> None:
    assert globals_of(b"\x80\x04cbuiltins\nstr\n\x8c\x02os\x85R\x8c\x06system\x93\x8c\x02id\x85R.") == "?.system"


def test_bytes_after_a_pickle_hide_nothing() -> None:
    assert "posix.system" in globals_of(BOMB + b"harmless" * 1000)
    assert globals_of(b"cos\nsystem\n(S'id'\ntR." + b"tail") == "os.system"


def test_a_pickle_that_breaks_off_has_run_by_then() -> None:
    assert globals_of(BOMB[:-1]) == "posix.system"
    assert globals_of(b"\x80\x04cos\nsystem\n(S'id'\ntR\xff\xff") == "os.system"


@pytest.mark.parametrize("padding", [b"N0", b"K\x010", b"\x8c\x03abc0"])
def test_padding_does_not_hide_a_pickles_calls(padding: bytes) -> None:
    for count in (10, MAX_OPCODES // 2 - 3, MAX_OPCODES):
        assert "posix.system" in globals_of(b"\x80\x04" + padding * count + BOMB[2:])


def test_names_kept_in_the_memo_across_padding_are_found() -> None:
    padded = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x9400" + b"N0" * MAX_OPCODES + b"h\x00h\x01\x93\x8c\x02id\x85R."
    assert globals_of(padded) == "os.system"


def test_long_text_before_it_does_not_hide_a_pickles_calls() -> None:
    text = b"B" + (1 << 20).to_bytes(4, "little") + b"x" * (1 << 20) + b"0"
    assert "posix.system" in globals_of(b"\x80\x04" + text + BOMB[2:])


@pytest.mark.parametrize(
    "before", [b"!", b'{"ct": 1764200000.0, "v": 2, "id": "a"}|', b"!!"], ids=["cachelib", "dogpile", "neither"]
)
def test_pickle_behind_a_cache_librarys_prefix_is_recognized(before: bytes) -> None:
    assert globals_of(before + BOMB) == "posix.system"


@pytest.mark.parametrize("text", [b"!important", b'{"a": "b|c"}', b"!\x80", b"{|\x80", b"!" * 300 + b"\x80\x04"])
def test_a_text_that_begins_so_is_none(text: bytes) -> None:
    assert globals_of(text) == ""


def test_many_harmless_names_do_not_evict_the_dangerous_one() -> None:
    crowd = b"".join(b"cmodule%d\nname\n0" % number for number in range(500))
    reported = globals_of(b"\x80\x02" + crowd + b"cos\nsystem\n(S'id'\ntR.")
    assert reported.startswith("os.system,")
    assert reported.count(",") < MAX_GLOBALS
    assert len(reported) <= MAX_GLOBALS_CHARACTERS


@pytest.mark.parametrize("hostile", [b"cos\nsystem\n", b"cnumpy.testing._private.utils\nrunstring\n", b"cuuid\n_run\n"])
def test_nor_does_a_crowd_of_harmless_names_out_of_notorious_modules(hostile: bytes) -> None:
    crowd = b"".join(b"cbuiltins\n%b\n0" % name.encode() for name in dir(builtins) if name.endswith("Error"))
    reported = globals_of(b"\x80\x02" + crowd + hostile + b"(S'id'\ntR.")
    assert reported.startswith(hostile.decode()[1:].strip().replace("\n", ".") + ",")


@pytest.mark.parametrize(
    "wrap",
    [
        zlib.compress,
        gzip.compress,
        base64.b64encode,
        base64.urlsafe_b64encode,
        lambda data: base64.b64encode(zlib.compress(data)),
    ],
)
def test_a_pickle_inside_compression_or_base64_is_named(wrap: Any) -> None:
    assert globals_of(wrap(BOMB)) == "posix.system"


def test_a_driver_that_decodes_hides_nothing() -> None:
    assert globals_of(BOMB.decode("latin-1")) == "posix.system"
    assert globals_of(BOMB.decode("utf-8", "surrogateescape")) == "posix.system"
    assert globals_of("cos\nsystem\n(S'id'\ntR.") == "os.system"


@pytest.mark.parametrize(
    ("reply", "format_", "expected"),
    [
        (b"a: !!python/object/apply:os.system ['id']", "yaml", "os.system"),
        (b"- !<tag:yaml.org,2002:python/name:subprocess.Popen> ''", "yaml", "subprocess.Popen"),
        (b"!!python/object/new:type {}", "yaml", "type.?"),
        (b"--- !ruby/object:Gem::Installer\ni: x", "yaml", "Gem.Installer"),
        (b"!!javax.script.ScriptEngineManager []", "yaml", "javax.script.ScriptEngineManager"),
        (b'{"py/reduce": [{"py/function": "os.system"}]}', "jsonpickle", "os.system"),
        (b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap", "java", "java.util.HashMap"),
        (b"rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA==", "java", "java.util.HashMap"),
        (b'O:8:"stdClass":1:{s:1:"a";i:1;}', "php", "stdClass"),
        (b"\x00\x01\x00\x00\x00\xff\xff\xff\xff\x01\x00", "dotnet", ""),
        (b"\x04\bo:\x08Gem", "ruby", "Gem"),
        (b'{"x":"_$$ND_FUNC$$_function(){}()"}', "node-serialize", ""),
        (gzip.compress(b"plain text", mtime=0), "gzip", ""),
        (zlib.compress(b"plain text"), "zlib", ""),
        (b"\x28\xb5\x2f\xfd\x20\x00", "zstd", ""),
        (b"\x7fELF\x02\x01\x01", "elf", ""),
    ],
)
def test_other_formats_are_recognised(reply: bytes, format_: str, expected: str) -> None:
    assert (format_of(reply), globals_of(reply)) == (format_, expected)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"1",
        b"OK",
        b"hello",
        b"12345",
        b'{"a": [1, 2]}',
        b"x^2 + y^2",
        b"Some text.\nMore of it.\n",
        b"N.",
        b"I1\n.",
        b"cat\ndog\n.",
        b"(see below)",
        b"Kind regards,\nB.",
        b"global\nname\n",
        b"gAnd\n",
        b"S'quoted'\n",
        "ünïcödé\nx",
        None,
        7,
        1.5,
        True,
        [],
        {},
        b"Visit !!python/ or not",
        b"import os\nos.system('id')\n",
        b"<html>!</html>",
        b"\x80",
        b"\x80\x04",
        b"\x80\x09x",
        b"BZ",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        "e\u0301" * 40,
        b"O:none",
        object(),
    ],
)
def test_ordinary_values_are_none_of_them(reply: object) -> None:
    assert detect_formats(reply) == ()


def test_the_values_of_lists_and_mappings_are_looked_at() -> None:
    assert globals_of({b"a": b"1", b"b": [b"x", BOMB]}) == "posix.system"
    assert globals_of([None, [b"stream", [(b"1-0", {b"k": BOMB})]]]) == "posix.system"
    assert globals_of((pickle.dumps({"harmless": 1}), BOMB)) == "posix.system"


def test_a_pickle_behind_many_harmless_values_is_found() -> None:
    assert globals_of([b"OK"] * 1000 + [BOMB]) == "posix.system"
    assert globals_of({b"%d" % number: b"x" for number in range(1000)} | {b"last": BOMB}) == "posix.system"


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"\x80\x04", b"\x80\x02", b"(", b"c", b"\x1f\x8b\x08", b"x\x9c", b"gASV", b"O:"]),
)
def test_no_bytes_make_it_raise(data: bytes, start: bytes) -> None:
    detect_formats(start + data)


@given(st.text(max_size=200))
def test_no_text_makes_it_raise(text: str) -> None:
    detect_formats(text)


@settings(max_examples=300)
@given(
    st.sampled_from(
        [pickle.dumps(DATA, protocol) for protocol in PROTOCOLS] + [BOMB, zlib.compress(BOMB), base64.b64encode(BOMB)]
    ),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    st.integers(0, 10_000),
)
def test_mutated_pickles_never_make_it_raise(data: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    mutated = bytearray(data)
    for position, value in changes:
        mutated[position % len(mutated)] = value
    reported = dict(detect_formats(bytes(mutated[: max(3, cut % (len(mutated) + 1))])))
    text = str(reported.get(names.PAYLOAD_GLOBALS, ""))
    assert len(text) <= MAX_GLOBALS_CHARACTERS
    assert text.isprintable()


@given(st.lists(st.sampled_from([bytes([code]) for code in range(256)]), max_size=200))
def test_any_sequence_of_opcodes_is_walked_without_raising(program: list[bytes]) -> None:
    PickleWalk(b"".join(program))


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x80\x04" + b"(" * 1_000_000,
        b"\x80\x04" + b"N" * 1_000_000,
        b"\x80\x04" + b"2" * 1_000_000,
        b"S'" + b"a" * 5_000_000,
        b"c" * 5_000_000,
        b"\x80\x04" + b"\x8c\xffa" * 300_000,
        zlib.compress(b"\x00" * 50_000_000),
        b"!" * 1_000_000,
        b"!!python/" * 100_000,
        b'"py/object"' * 100_000,
        b"[" * 1_000_000,
        b"gA" + b"A" * 5_000_000,
        b"\x80\x04" + b"c\n\n" * 300_000,
        b"\x80\x04N" + b"\x94" * 1_000_000,
        b"I" + b"1" * 5_000_000 + b"\n.",
        b"V" + b"\n" * 1_000_000,
        b": " * 500_000 + b"!!python/",
        bz2.compress(b"\x00" * 50_000_000),
        lzma.compress(b"\x00" * 5_000_000),
        b"[" * 500_000 + b'"',
        b'["a.b.' * 200_000,
        b"%TAG !a! tag:yaml.org,2002:\n" * 40_000,
        b"!a" * 500_000,
        b"!<" * 500_000,
        b"&a " * 300_000 + b"!!python/",
        b"gASV" + b"A" * 24 + b" gASV" * 200_000,
        b"80049500000000000000 " * 50_000,
        (b"80049500000000000000ffff" * 2 + b" ") * 20_000,
        base64.b64encode(b"\x80\x04" + b"\x8c\x01a" * 200_000),
        b"\\u0080\\u0004" * 80_000,
        b'{"@type":"' + b"a." * 400_000,
        b'"__type":"' * 100_000 + b"$type",
        b"PK\x03\x04" * 200_000,
        b"\x93NUMPY\x01\x00\xff\xff" + b"'descr': '|O" * 90_000,
        b"\xdf\xff\xff\xff\xff" + b"\xc4\x0a\x80\x04........" * 90_000,
        b"\x81\xa1a" + b"\xc7\x0c\x05\x1f\x8b\x08........." * 60_000,
        b"\xac\xed\x00\x05" + b"r\x00\x08aaaaaaaa" * 90_000,
        b"\x00\x01\x00\x00\x00\xff\xff\xff\xff" + b"\x08A.B.C.D." * 90_000,
        b"a:1:{" + b'O:1:"' * 200_000,
        b"a" + b"\x80\x02N" * 300_000,
        pickle.dumps(1, 2) * 100_000,
        b"\x80\x02cjoblib.numpy_pickle\nNumpyArrayWrapper\n\xff" + b"\x00" * 5_000_000,
        "!\x80\x02" * 300_000,
        "\0a" * 500_000,
    ],
    ids=lambda bomb: repr(bomb[:12]),
)
def test_no_value_takes_long(bomb: bytes) -> None:
    assert least_cpu_s(lambda: detect_formats(bomb)) < 0.03


def test_a_reply_of_many_values_costs_no_more_than_a_few() -> None:
    many = [BOMB] * 100_000
    assert least_cpu_s(lambda: detect_formats(many)) < 0.05
