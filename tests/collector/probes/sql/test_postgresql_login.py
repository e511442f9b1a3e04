"""A PostgreSQL server's login method, from its own messages."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.probes.families.postgresql.login import MAX_REQUEST_BYTES, LoginReader


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def encode_request(code: int, more: bytes = b"") -> bytes:
    return message(b"R", struct.pack("!I", code) + more)


NOTICE = message(b"N", b"SNOTICE\0\0")
LONG = message(b"N", b"R" * 3 * MAX_REQUEST_BYTES)
OFFER = encode_request(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
SCRAM = OFFER + encode_request(11, b"r=a,s=b,i=4096") + encode_request(12, b"v=x")
SETTING = message(b"S", b"server_version\0" + b"15.10\0")
READY = message(b"Z", b"I")
KNOWN = {"", "none", "clear-password", "md5", "gssapi", "sspi", "scram-sha-256"}


def read(*pieces: bytes) -> LoginReader:
    reader = LoginReader()
    for piece in pieces:
        reader.feed(piece)
    return reader


WAYS = [
    (SCRAM, "scram-sha-256"), (encode_request(3), "clear-password"), (encode_request(5, b"salt"), "md5"), (b"", "none"),
    (NOTICE + SETTING + encode_request(3), "clear-password"), (LONG + encode_request(3) + LONG, "clear-password"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "method"), WAYS)
def test_login_method_is_the_servers_choice(sent: bytes, method: str) -> None:
    reader = read(sent + encode_request(0) + SETTING)
    assert (reader.method, reader.has_ended) == (method, True)


@pytest.mark.parametrize(("sent", "method"), WAYS)
@pytest.mark.parametrize("size", [1, 7, MAX_REQUEST_BYTES, 2 * MAX_REQUEST_BYTES + 1])
def test_a_login_is_read_the_same_in_pieces_of_any_size(sent: bytes, method: str, size: int) -> None:
    whole = sent + encode_request(0) + SETTING
    reader = read(*(whole[at : at + size] for at in range(0, len(whole), size)))
    assert (reader.method, reader.has_ended) == (method, True)


@pytest.mark.parametrize("then", [SCRAM, encode_request(5, b"salt")])
def test_a_request_in_clear_text_outweighs_later_stronger_ones(then: bytes) -> None:
    assert read(encode_request(3) + then + encode_request(0)).method == "clear-password"
    assert read(then + encode_request(3) + encode_request(0)).method == "clear-password"


@pytest.mark.parametrize("sent", [OFFER, OFFER + encode_request(11, b"r=a,s=b,i=4096")])
def test_scram_without_server_proof_counts_as_no_password_check(sent: bytes) -> None:
    assert read(sent + encode_request(0)).method == "none"


@pytest.mark.parametrize("before", [b"", SETTING, NOTICE])
def test_a_server_that_is_ready_at_once_asked_for_nothing(before: bytes) -> None:
    reader = read(before + READY)
    assert (reader.method, reader.has_ended) == ("none", True)


def test_a_login_that_is_refused_was_still_asked_for() -> None:
    reader = read(encode_request(3), message(b"E", b"SFATAL\0C28P01\0\0"))
    assert (reader.method, reader.has_ended) == ("clear-password", True)


@pytest.mark.parametrize(
    "sent",
    [
        encode_request(77),
        encode_request(10, b"SCRAM-SHA-256-PLUS\0\0") + encode_request(12) + encode_request(0),
        message(b"E", b"no"),
    ],
)
def test_unknown_login_methods_are_not_guessed(sent: bytes) -> None:
    assert read(sent).method == ""


@given(
    st.lists(
        st.one_of(st.binary(max_size=60), st.sampled_from([NOTICE, OFFER, encode_request(3), encode_request(0)])),
        max_size=12,
    )
)
def test_no_bytes_break_it_and_nothing_is_kept_for_ever(pieces: list[bytes]) -> None:
    reader = read(*pieces)
    assert len(reader._rest) <= MAX_REQUEST_BYTES
    assert reader.method in KNOWN


def test_a_request_that_never_ends_is_given_up() -> None:
    reader = read(b"R" + struct.pack("!I", 1 << 30), *(b"x" * MAX_REQUEST_BYTES for _ in range(3)))
    assert reader.has_ended
    assert reader._rest == b""
