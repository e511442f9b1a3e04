"""How a PostgreSQL server lets its client in, out of its own messages."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.probes._postgresql_login import MOST, LoginReader


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def asked(code: int, more: bytes = b"") -> bytes:
    return message(b"R", struct.pack("!I", code) + more)


SCRAM = asked(10, b"SCRAM-SHA-256\0\0") + asked(11, b"r=a,s=b,i=4096") + asked(12, b"v=x")
LET_IN = asked(0) + message(b"S", b"server_version\0" + b"15.10\0")


def read(*pieces: bytes) -> LoginReader:
    reader = LoginReader()
    for piece in pieces:
        reader.feed(piece)
    return reader


@pytest.mark.parametrize(
    ("sent", "method"),
    [
        (SCRAM, "scram-sha-256"), (asked(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"), "scram-sha-256"),
        (asked(3), "clear-password"), (asked(5, b"salt"), "md5"),
        (message(b"N", b"SNOTICE\0\0") + asked(3), "clear-password"),
        (b"", "none"),
    ],
)  # fmt: skip
def test_the_method_is_the_one_that_the_server_asked_for(sent: bytes, method: str) -> None:
    reader = read(sent + LET_IN)
    assert (reader.method, reader.ended) == (method, True)


@pytest.mark.parametrize("sent", [asked(3), SCRAM, asked(5, b"salt") + LET_IN])
def test_in_whatever_pieces_it_comes_it_is_read_the_same(sent: bytes) -> None:
    whole = read(sent)
    bit_by_bit = read(*(sent[at : at + 1] for at in range(len(sent))))
    assert (bit_by_bit.method, bit_by_bit.ended) == (whole.method, whole.ended)


def test_a_login_that_is_refused_was_still_asked_for() -> None:
    reader = read(asked(3), message(b"E", b"SFATAL\0C28P01\0\0"))
    assert (reader.method, reader.ended) == ("clear-password", True)


@pytest.mark.parametrize(
    "sent", [asked(77), asked(10, b"SCRAM-SHA-256-PLUS\0\0") + asked(12) + asked(0), message(b"E", b"no")]
)
def test_what_is_not_known_is_not_guessed(sent: bytes) -> None:
    assert read(sent).method == ""


@given(st.lists(st.binary(max_size=60), max_size=12))
def test_no_bytes_break_it_and_nothing_is_kept_for_ever(pieces: list[bytes]) -> None:
    reader = read(*pieces)
    assert len(reader._left) <= MOST
    assert reader.ended or not reader.method or b"R" in b"".join(pieces)


def test_a_message_that_never_ends_is_given_up() -> None:
    reader = read(b"R" + struct.pack("!I", 1 << 30), *(b"x" * MOST for _ in range(3)))
    assert reader.ended
    assert reader._left == b""
