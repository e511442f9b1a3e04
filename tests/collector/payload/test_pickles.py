"""Imports of a pickle are named, in any form of program; other data is not taken for a pickle."""

import base64
import contextlib
import io
import json
import os
import pickle
import random
import struct
import time
import uuid
import zlib
from collections.abc import Callable
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.collector.payload.budget import MAX_OPCODES, WINDOW_BYTES, SharedBudget, ValueBudget
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.payload.pickle_search import NOTORIOUS, find_likely_globals
from backwatch.collector.payload.pickles import UNSEEN, PickleWalk

CALL = b"cos\ngetpid\n(tR."
PADDING = b"N0" * (MAX_OPCODES // 2 + 100)
HOSTILE = b"\x80\x02" + b"N0" * (MAX_OPCODES // 2 + 1) + b"c" * WINDOW_BYTES + b"."
LONG = 70_000
WORDS = ("os", "getpid", "builtins", "eval", "eval.__call__", "app.models", "Basket", "x" * 130)


class Inert:
    """A stand-in for every global: accepts any call, does nothing."""

    def __new__(cls, *_args: object, **_named: object) -> Self:
        return super().__new__(cls)

    def __init__(self, *_args: object, **_named: object) -> None: ...
    def __call__(self, *_args: object, **_named: object) -> "Inert":
        return self

    def __setitem__(self, key: object, value: object) -> None: ...
    def __setstate__(self, state: object) -> None: ...
    def append(self, value: object) -> None: ...
    def extend(self, values: object) -> None: ...
    def add(self, value: object) -> None: ...


class Recorder(pickle.Unpickler):
    """The real unpickler, with inert globals."""

    def __init__(self, program: bytes) -> None:
        super().__init__(io.BytesIO(program))
        self.imported: list[str] = []

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        self.imported.append(f"{module_name}.{global_name}")
        return Inert

    def persistent_load(self, pid: object) -> Any:
        return Inert


def find_globals(reply: object) -> list[str]:
    return str(dict(detect_formats(reply)).get(names.PAYLOAD_GLOBALS, "")).split(",")


def find_format(reply: object) -> str:
    return str(dict(detect_formats(reply)).get(names.PAYLOAD_FORMAT, ""))


def find_imports(program: bytes) -> list[str]:
    recorder = Recorder(program)
    with contextlib.suppress(Exception):  # a program that fails has run up to there
        recorder.load()
    return recorder.imported


def encode_counted(opcode: bytes, width: int, text: bytes) -> bytes:
    return opcode + len(text).to_bytes(width, "little") + text


def texts(word: str) -> list[bytes]:
    raw = word.encode()
    escaped = "".join(f"\\x{letter:02x}" for letter in raw)
    wide = "".join(f"\\u{letter:04x}" for letter in raw)
    return [
        b"V%b\n" % raw, b"V%b\n" % wide.encode(), b"S'%b'\n" % raw, b'S"%b"\n' % escaped.encode(),
        encode_counted(b"X", 4, raw), encode_counted(b"\x8c", 1, raw), encode_counted(b"\x8d", 8, raw),
        encode_counted(b"T", 4, raw),
        encode_counted(b"U", 1, raw),
    ]  # fmt: skip


KEYS = (b"0", b"1", b"+1", b" 1", b"0_1", b"00000000000000001", b"-0", b"1\x00x", b"\t1 ", b"", b"x", b"2")
TEXTS = [text for word in WORDS for text in texts(word)]
OPERATIONS = (
    [
        b"N",
        b"K\x01",
        b"M\x01\x02",
        b"J\x01\x02\x03\x04",
        b"I1\n",
        b"L1L\n",
        b"F1.5\n",
        b"G" + bytes(8),
        b"]",
        b"}",
        b")",
    ]
    + [b"\x8f", b"\x88", b"\x89", b"B\x01\x00\x00\x00x", b"C\x00", b"\x8a\x00", b"\x8b\x00\x00\x00\x00"]
    + [b"\x8e" + bytes(8), b"\x96" + bytes(8), b"\x95" + bytes(8), b"Pid\n", b"Q", b"\x98", b"\x97"]
    + [b"0", b"1", b"2", b"(", b"(", b"t", b"l", b"d", b"\x90", b"\x91", b"e", b"u", b"a", b"s", b"b", b"R", b"o"]
    + [
        b"\x81",
        b"\x92",
        b"\x85",
        b"\x86",
        b"\x87",
        b"\x94",
        b"q\x00",
        b"q\x01",
        b"r\x02\x00\x00\x00",
        b"h\x00",
        b"h\x01",
    ]
    + [b"j\x02\x00\x00\x00", b"\x80\x00", b"\x80\x05", b"\x80\x06", b"\x82\x01", b"\x82\x00", b"\x93", b"\x93", b"."]
    + [opcode + key + b"\n" for opcode in (b"p", b"g") for key in KEYS]
    + [b"c%b\n%b\n" % (module.encode(), name.encode()) for module in WORDS[::2] for name in WORDS[1::2]]
    + [b"(ios\ngetpid\n", b"ios\ngetpid\n", b"c\nx\n", b"cos\n\n", "cgröße\nWert\n".encode(), b"c\xff\nx\n"]
)
HARMLESS_PADDING = (b"N0", b"K\x010", b"C\x000", b"(1", b"\x8c\x01x0", b"Vx\n0", b"]0", b"Np1\n0", b"}q\x010", b"I1\n0")
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4) | st.tuples(inner)
    ),
    max_leaves=20,
)


@settings(max_examples=1_000)
@given(st.lists(st.sampled_from(TEXTS) | st.sampled_from(OPERATIONS), max_size=30), st.booleans())
def test_every_import_of_the_unpickler_is_named(program: list[bytes], pushes: bool) -> None:
    data = (b"NN" * pushes) + b"".join(program)
    walk = PickleWalk(data, marked=True)
    for name in find_imports(data):
        assert name in walk.names or any(UNSEEN in one for one in walk.names)


@settings(max_examples=300)
@given(st.sampled_from(TEXTS), st.sampled_from(TEXTS), st.lists(st.sampled_from(HARMLESS_PADDING), max_size=6))
def test_two_texts_that_make_a_global_are_put_together(module: bytes, name: bytes, between: list[bytes]) -> None:
    data = module + b"".join(between) + name + b"".join(between) + b"\x93)R."
    assert find_imports(data)
    assert set(find_imports(data)) <= set(PickleWalk(data).names)
    assert PickleWalk(data).runs


@settings(max_examples=300)
@given(DATA, st.integers(0, 5), st.lists(st.sampled_from(HARMLESS_PADDING), max_size=8), st.booleans())
def test_a_global_before_any_pickle_is_reported(data: object, protocol: int, padding: list[bytes], marks: bool) -> None:
    ordinary = pickle.dumps(data, protocol)
    call = CALL[:-1] + b"0"
    hostile = ordinary[:2] + call + ordinary[2:] if protocol > 1 else call + ordinary
    assert find_imports(hostile)[0] == "os.getpid"
    assert find_globals(hostile) == ["os.getpid"]
    hidden = (b"\x80%c" % protocol) * marks + b"".join(padding) + call + ordinary
    assert find_imports(hidden)[0] == "os.getpid"
    assert find_globals(hidden) == ["os.getpid"]


@given(DATA, st.integers(2, 5))
def test_a_pickle_of_data_names_nothing(data: object, protocol: int) -> None:
    assert detect_formats(pickle.dumps(data, protocol)) == ((names.PAYLOAD_FORMAT, "pickle"),)


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x80\x00" + CALL,
        b"\x80\x01" + CALL,
        b"\x80\x00\x80\x01" + CALL,
        b"C\x000" + CALL,
        b"\x8a\x000" + CALL,
        b"\x8b\x00\x00\x00\x000" + CALL,
        b"\x96" + bytes(8) + b"0" + CALL,
        b"\x8e" + bytes(8) + b"0" + CALL,
        b"\x80\x02Np+0\n0" + CALL,
        b"\x80\x02Np1_0\n0" + CALL,
        b"\x80\x02Np0000000000001\n0" + CALL,
        b"\x80\x02Np0\x00x\n0" + CALL,
        b"\x80\x02V" + b"a" * 300_000 + b"\n0" + CALL,
        b"V" + b"a" * 300_000 + b"\n0" + CALL,
        b"\x80\x04cbuiltins\nobject" + b".__class__" * 13 + b"\n0" + CALL,
        b"\x80\x04S'\\x6fs'\nV\\u0067etpid\n\x93(tR.",
        b"B" + LONG.to_bytes(4, "little") + b"x" * LONG + b"0" + CALL + b"tail",
        b"\x80\x02" + PADDING + b"B" + LONG.to_bytes(4, "little") + b"x" * LONG + b"0" + CALL,
        b"\x80\x04" + PADDING + encode_counted(b"\x8d", 8, b"x" * LONG) + b"0" + CALL,
        b"\x80\x04" + PADDING + b"\x8c\x02os\x94\x8c\x06getpid\x94\x93(tR.",
        PADDING + CALL,
    ],
    ids=lambda program: repr(program[:16]),
)
def test_a_call_in_any_pickle_program_is_reported(hostile: bytes) -> None:
    assert pickle.loads(hostile) == os.getpid()
    assert "os.getpid" in find_globals(hostile)


@pytest.mark.parametrize(
    ("hostile", "name"),
    [
        (b"\x80\x04cbuiltins\neval.__call__\n(V1\ntR.", "builtins.eval"),
        (b"\x80\x04cpathlib\nos.getpid\n(tR.", "os.getpid"),
        (b"cos\nenviron\nVBACKWATCH\nVy\ns.", "os.environ"),
        (b"\x80\x04\x8c\x08builtins\x8c\x01XVx\n\x86R\x93.", ""),
    ],
)
def test_a_name_reached_through_another_is_reported(hostile: bytes, name: str) -> None:
    assert name in find_globals(hostile)


def test_a_computed_name_of_any_module_is_reported_as_unknown() -> None:
    assert "?.?" in find_globals(b"\x80\x04\x8c\x08builtinscbuiltins\nstr\n\x8c\x04eval\x85R\x93(tR.")


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x04" + PADDING + b"\x8c\x02osN0N0N0\x8c\x06getpid\x93(tR.",
        PADDING + b"\x8c\x02osN0N0N0\x8c\x06getpid\x93(tR.",
        b"\x80\x04" + PADDING + encode_counted(b"\x8d", 8, b"x" * LONG) + b"0" + CALL + b"x" * LONG,
        PADDING + b"K\x01K\x02K\x03" * 100 + encode_counted(b"\x8d", 8, b"x" * LONG) + b"0" + CALL + b"x" * LONG,
        zlib.compress(b"\x80\x04" + encode_counted(b"\x8d", 8, b"x" * LONG) + b"0" + CALL),
        base64.b64encode(b"\x80\x04" + encode_counted(b"\x8d", 8, b"x" * LONG) + b"0" + CALL),
        (b"\x80\x02V" + b"a" * 300_000 + b"\n0" + CALL).decode("utf-8", "surrogateescape"),
        b"\x80\x02" + PADDING + b"cbuiltins\nset\n0" * 10_000 + b"\x8c\x02osN0\x8c\x06getpid\x93(tR.",
    ],
    ids=lambda program: repr(program[:8]),
)
def test_a_program_too_long_to_follow_is_reported(program: bytes | str) -> None:
    assert (find_format(program), find_globals(program)) == ("pickle", [UNSEEN])


def test_globals_found_in_a_long_program_are_reported() -> None:
    assert find_globals(b"\x80\x02" + PADDING + CALL) == ["os.getpid"]


@pytest.mark.parametrize("lines", [b"tacos\npizza\n", b"point\nlevel\n", b"unicode\nplane\n", b"Electronic\nmusic\n"])
def test_lines_of_text_in_a_long_pickle_are_no_globals(lines: bytes) -> None:
    assert find_globals(pickle.dumps([*range(2 * MAX_OPCODES), (lines * 50).decode()])) == [UNSEEN]


def test_a_long_pickle_of_objects_names_no_half_of_a_class() -> None:
    objects = b"".join(b"h\x09\x8c\x06Basket\x94\x93)\x81" for _ in range(MAX_OPCODES))
    assert find_globals(b"\x80\x04]\x94(" + b"K\x01" * MAX_OPCODES + objects + b"e.") == [UNSEEN]


@settings(max_examples=300)
@given(
    st.one_of(
        st.text(),
        st.lists(st.text(st.characters(codec="ascii"), max_size=12), max_size=40).map("\n".join),
        st.binary(max_size=300).filter(lambda data: data[:1] != b"\x80"),
        DATA.map(lambda data: json.dumps(data, default=str)),
        DATA.map(lambda data: json.dumps(data, default=str, indent=1).encode()),
        st.lists(st.integers(0, 2**32 - 1), max_size=40).map(lambda many: struct.pack(f"<{len(many)}I", *many)),
        st.lists(st.floats(), max_size=40).map(lambda many: struct.pack(f">{len(many)}d", *many)),
        st.binary(max_size=300).map(zlib.compress),
        st.binary(max_size=300).map(base64.b64encode),
        st.uuids().map(lambda one: one.bytes),
    )
)
def test_ordinary_values_are_no_pickles(value: bytes | str) -> None:
    assert find_format(value) != "pickle"


def test_hardly_any_random_bytes_are_taken_for_a_pickle() -> None:
    chance = random.Random(7)
    starts: list[Callable[[], bytes]] = [
        lambda: b"",
        lambda: b"\x80" + bytes((chance.randrange(2),)),
        lambda: bytes((chance.choice(b"(]})cCNKIVS\x8a\x8c\x96"),)),
    ]
    for start in starts:
        taken = sum(find_format(start() + chance.randbytes(200)) == "pickle" for _ in range(5_000))
        assert taken <= 5
    assert not any(find_format(uuid.UUID(int=chance.getrandbits(128)).bytes) for _ in range(5_000))


@pytest.mark.parametrize(
    "text",
    [
        b"cat\ndog\nbird\nR", b"cat\ndog\nRobin\n", b"Catalogue\ncode\nos\nsystem\n", b"import os\nos.system\n",
        b"(aside)\nNote.\n.", b"N" * 10_000, b"(" * 10_000, b"]" * 10_000, b"NK" * 10_000, b"I1\n" * 10_000,
        b"GATTACA" * 10_000, b"Value,Name\n1,x\n" * 1_000, b"S'a'\n" * 10_000, "}" * 300_000, "Body of text " * 30_000,
    ],
    ids=lambda text: repr(text[:8]),
)  # fmt: skip
def test_text_of_any_length_is_no_program(text: bytes | str) -> None:
    assert detect_formats(text) == ()


def seconds(action: Callable[[], object]) -> float:
    """Return the least of several runs: the cost of the work itself."""
    least = float("inf")
    for _ in range(7):
        began = time.thread_time()
        action()
        least = min(least, time.thread_time() - began)
    return least


def test_a_hostile_value_costs_no_more_than_a_program_as_long() -> None:
    plain = b"\x80\x02" + b"N0" * (MAX_OPCODES // 2 + 1) + b"." * WINDOW_BYTES
    assert seconds(lambda: detect_formats(HOSTILE)) < 10 * seconds(lambda: detect_formats(plain))


def test_a_reply_of_hostile_values_costs_as_much_as_a_few() -> None:
    assert seconds(lambda: detect_formats([HOSTILE] * 32)) < 8 * seconds(lambda: detect_formats(HOSTILE))


@pytest.mark.parametrize(
    "piece",
    [b"c", b"\n", b"\na", b"cos\n", b"cos\na\n", b"a.", b"\na.a", b"\x93", b"h\x00h\x00\x93", b"\x93" + b"a" * 120,
     b"\x93\n", b"subproces", b"\n" + b"subprocess."[::-1] * 11],
    ids=repr,
)  # fmt: skip
def test_the_cost_of_a_search_is_linear(piece: bytes) -> None:
    once = (piece * WINDOW_BYTES)[:WINDOW_BYTES]
    # A quadratic cost would be sixteen times as much: a busy machine does not come near.
    assert seconds(lambda: find_likely_globals(once * 4, str)) < 8 * seconds(lambda: find_likely_globals(once, str))


def test_the_values_of_a_response_share_one_budget() -> None:
    purse, given_out = SharedBudget(), list[int]()
    for left in range(32, 0, -1):
        budget = purse.allocate(left)
        given_out.append(budget.opcodes)
        assert min(budget.read, budget.lines, budget.searched) > 0
        budget.opcodes = 0 if left % 2 else budget.opcodes
        if left % 2 == 0:
            purse.return_unused(budget)
    assert min(given_out) >= 3 * MAX_OPCODES // 32
    assert max(given_out) <= MAX_OPCODES


def test_hostile_value_does_not_exhaust_the_shared_budget() -> None:
    values = [b"\x80\x02" + PADDING * 10] * 15
    assert "os.getpid" in find_globals([*values, b"\x80\x02" + b"N0" * 50 + CALL])


def test_walk_subtracts_its_use_from_the_budget() -> None:
    budget = ValueBudget()
    PickleWalk(b"\x80\x02Vtext\n0N.", budget)
    assert budget.opcodes == MAX_OPCODES - 5
    assert budget.lines == ValueBudget().lines - len(b"text")


@pytest.mark.parametrize("module", sorted(NOTORIOUS))
def test_each_module_known_from_exploits_is_found_in_a_long_program(module: str) -> None:
    assert f"{module}.name" in find_likely_globals(
        b"\x8c%c%b\x94\x8c\x04name\x94\x93" % (len(module), module.encode()), str
    )
