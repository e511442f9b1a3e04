"""Certificates of untrusted servers: read as the library reads them, without a crash."""

import contextlib
import datetime as dt
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.session.x509 import MAX_NAME, DerError, parse_certificate

KEY = ec.generate_private_key(ec.SECP256R1())
OIDS = [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.LOCALITY_NAME, NameOID.DOMAIN_COMPONENT]


def make_certificate(subject: x509.Name, begin: dt.datetime, end: dt.datetime) -> bytes:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(KEY.public_key())
    builder = builder.serial_number(5).not_valid_before(begin).not_valid_after(end)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


names_of_it = st.lists(
    st.tuples(st.sampled_from(OIDS), st.text('abc ,+=#"\\<>;é世', min_size=1, max_size=20)), min_size=1, max_size=4
)
SAMPLE = make_certificate(
    x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "db.example")]),
    dt.datetime(2020, 1, 2, 3, 4, 5),  # noqa: DTZ001  the library takes naive UTC
    dt.datetime(2060, 1, 2),  # noqa: DTZ001
)


@given(names_of_it)
def test_names_are_written_as_rfc_4514_has_them(parts: list[tuple[x509.ObjectIdentifier, str]]) -> None:
    name = x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])
    read = parse_certificate(make_certificate(name, dt.datetime(2020, 1, 1), dt.datetime(2030, 1, 1)))  # noqa: DTZ001
    assert read.subject == read.issuer
    bare = read.subject.replace("\\", "")
    assert name.rfc4514_string().replace("\\", "") == bare or len(read.subject) == MAX_NAME


@given(st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2100, 1, 1)))  # noqa: DTZ001
def test_both_forms_of_time_are_read(moment: dt.datetime) -> None:
    moment = moment.replace(microsecond=0)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    read = parse_certificate(make_certificate(name, moment, moment + dt.timedelta(days=365)))
    assert moment.isoformat() + "Z" == read.not_before


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(DerError):
        parse_certificate(data)


@given(st.integers(0, len(SAMPLE) - 1), st.binary(max_size=6), st.integers(0, 6))
def test_a_damaged_certificate_is_read_or_refused_with_bounded_printable_names(at: int, put: bytes, gone: int) -> None:
    try:
        read = parse_certificate(SAMPLE[:at] + put + SAMPLE[at + gone :])
    except DerError:
        return
    assert all(len(text) <= MAX_NAME and text.isprintable() for text in read)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x30", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x30\x85\x01\x01\x01\x01\x01", b"\x30\x03\x30\x82\xff"],
)
def test_lengths_that_lie_are_refused(data: bytes) -> None:
    with pytest.raises(DerError):
        parse_certificate(data)


def test_more_than_a_certificate_ever_has_is_refused_unread() -> None:
    with pytest.raises(DerError, match="65536"):
        parse_certificate(b"\x30" * 70_000)


IMPORTS = """
import sys
from backwatch.collector.session.x509 import parse_certificate
data, before = bytes.fromhex(sys.argv[1]), set(sys.modules)
print(parse_certificate(data).subject, sorted(set(sys.modules) - before))
"""


def test_nothing_is_imported_in_an_apps_call() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "db", _type=_ASN1Type.BMPString)])
    one = make_certificate(name, dt.datetime(2020, 1, 1), dt.datetime(2030, 1, 1))  # noqa: DTZ001
    done = subprocess.run([sys.executable, "-c", IMPORTS, one.hex()], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("CN=db []\n", "")
