"""The kernels write the scanner's canonical bytes and read only their own input."""

import ctypes
import hashlib
import mmap
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backwatch.collector.statements import spec
from backwatch.collector.statements.canonical import canonicalize
from backwatch.detector.statements import fingerprint, letters
from backwatch.detector.statements.fingerprint import (
    DIALECTS,
    canonical_bytes,
    canonical_into,
    dialect_number,
    fingerprint_id,
    hash_key,
    new_scratch,
    siphash,
)
from tests.collector.statements.texts import HOSTILE, dialects, long_texts, texts
from tests.services.cpu_time import least_cpu_s

SCRATCH, MARKS = new_scratch()


def canonicalize_bytes(text: bytes, dialect: str) -> bytes:
    length = canonical_into(np.frombuffer(text or b" ", np.uint8), 0, len(text), DIALECTS[dialect], SCRATCH, MARKS)
    return SCRATCH[:length].tobytes()


def encode_sent(text: str) -> bytes:
    """Return the text as on the wire, where no lone surrogate can be."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text).encode()


@settings(deadline=None, max_examples=1_500)
@given(texts, dialects)
@example('="".5', "postgresql")
@example("/*!5000001 union", "mysql")
def test_both_readers_of_the_spec_write_the_same_bytes(text: str, dialect: str) -> None:
    assert canonicalize_bytes(encode_sent(text), dialect) == canonicalize(text, dialect).encode()


@settings(deadline=None, max_examples=40)
@given(long_texts, dialects)
def test_both_readers_cut_long_texts_at_the_same_places(text: str, dialect: str) -> None:
    assert canonicalize_bytes(encode_sent(text), dialect) == canonicalize(text, dialect).encode()


@pytest.mark.parametrize("name", HOSTILE)
def test_both_readers_agree_on_hostile_texts_in_bounded_time(name: str) -> None:
    for dialect in DIALECTS:
        canonicalize_bytes(b"x", dialect)
        text = HOSTILE[name].encode()
        assert least_cpu_s(partial(canonicalize_bytes, text, dialect)) < 0.05
        assert canonicalize_bytes(text, dialect) == canonicalize(HOSTILE[name], dialect).encode()


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.integers(-2, 7), st.integers(-300, 300), st.integers(-300, 300))
def test_any_bytes_and_bounds_give_a_bounded_text(text: bytes, dialect: int, start: int, end: int) -> None:
    length = canonical_into(np.frombuffer(text or b" ", np.uint8), start, end, dialect, SCRATCH, MARKS)
    assert 0 <= length <= spec.SENT_BYTES


def test_too_small_scratch_truncates_the_text_without_overrun() -> None:
    text = np.frombuffer(b"a " * 40_000, np.uint8)
    backing = np.full(40_000, 7, np.uint8)
    cells = np.full(1_000, 7, np.int64)
    for size, count in ((0, 0), (1_000, 500), (20_000, 300), (20_000, 900), (30_000, 200)):
        backing[:], cells[:] = 7, 7
        length = canonical_into(text, 0, text.shape[0], 0, backing[:size], cells[:count])
        assert 0 <= length <= size
        assert (backing[size:] == 7).all()
        assert (cells[count:] == 7).all()


@pytest.mark.parametrize(
    "tail",
    [
        b"'",
        b"--",
        b"/*",
        b"$a$",
        b"$",
        b"E'",
        b"U&'",
        b"q'[",
        b"nq'",
        b"0x",
        b"1e",
        b".",
        b"\xe2\x80",
        b"\xc2",
        b"\xe3\x80",
        b"%(",
        b"%",
        b":",
        b"@@",
        b"@",
        b"##",
        b"[",
        b'"',
        b"`",
        b"/*!5",
        b"/*M",
        b'="a" ',
        b"\\",
    ],
)
def test_no_read_goes_beyond_the_end(tail: bytes) -> None:
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    place = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert protect(ctypes.c_void_p(place + page), page, 0) == 0
    cells = np.ctypeslib.as_array((ctypes.c_uint8 * page).from_address(place))
    text = b"select a from t where x = " + tail
    try:
        cells[page - len(text) :] = np.frombuffer(text, np.uint8)
        for number in DIALECTS.values():
            canonical_into(cells, page - len(text), page, number, SCRATCH, MARKS)
            siphash(cells, page - len(text), len(text), np.uint64(1), np.uint64(2))
    finally:
        assert protect(ctypes.c_void_p(place + page), page, 3) == 0


def test_siphash_equals_cpythons() -> None:
    if sys.hash_info.algorithm != "siphash13":
        pytest.skip("this Python hashes with something else")
    texts_ = [bytes(range(n)) for n in (1, 7, 8, 9, 15, 16, 63, 200)]
    code = f"print([hash(one) for one in {texts_!r}])"
    printed = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True
    )
    canonical = [
        int(np.int64(np.uint64(siphash(np.frombuffer(one, np.uint8), 0, len(one), np.uint64(0), np.uint64(0)))))
        for one in texts_
    ]
    assert eval(printed.stdout) == canonical  # noqa: S307  our own print


def test_hash_depends_on_the_key_and_on_every_byte() -> None:
    text = np.frombuffer(b"SELECT A FROM T", np.uint8)
    k0, k1 = hash_key(b"sixteen bytes of key")
    one = siphash(text, 0, 15, k0, k1)
    assert len({one, siphash(text, 0, 14, k0, k1), siphash(text, 1, 14, k0, k1), siphash(text, 0, 15, k1, k0)}) == 4
    assert siphash(text, 0, 99, k0, k1) == one  # the text ends where the buffer does


def test_fingerprint_is_blake2b_of_the_canonical_bytes() -> None:
    text = canonical_bytes(b"select 1", "mysql")
    assert text == b"SELECT ?"
    assert fingerprint_id(text) == hashlib.blake2b(b"SELECT ?", digest_size=16).hexdigest()


def test_kernels_tables_follow_the_spec() -> None:
    assert {system: dialect_number(system) for system in ("postgresql", "mariadb", "oracle.db")} == {
        "postgresql": 0,
        "mariadb": 1,
        "oracle.db": 4,
    }
    for name, column in letters.dialect_rows().items():
        assert [getattr(one, name) for one in spec.DIALECTS.values()] == column.astype(bool).tolist()
        assert (letters.FEATURES[:, getattr(letters, name.upper())] == column).all()
    assert len(fingerprint.DIALECTS) == len(letters.CLASSES)
