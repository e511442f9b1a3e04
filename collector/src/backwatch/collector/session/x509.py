"""A reader of the X.509 fields that Backwatch reports: validity, issuer, subject.

The bytes come from the peer, so every read is bounds-checked, nothing recurses, and every text is bounded and free of
control characters. It does not validate: the TLS library does. ITU-T X.690 (DER), RFC 5280, RFC 4514.
"""

import codecs
import re
from datetime import datetime
from typing import Final, NamedTuple

MAX_CERTIFICATE: Final = 65_536
MAX_NAME: Final = 256
MAX_VALUE: Final = 100
MAX_PARTS: Final = 32

_INTEGER: Final = 0x02
_OID: Final = 0x06
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_MOMENT: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z")
_ENCODINGS: Final = {0x0C: "utf-8", 0x13: "utf-8", 0x14: "latin-1", 0x16: "utf-8", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}
for _encoding in set(_ENCODINGS.values()):
    # At import, not in an app's call: a child that is forked in the middle of an import waits for its end for ever.
    codecs.lookup(_encoding)
_SHORT: Final = {
    "2.5.4.3": "CN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET",
    "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.4": "SN", "2.5.4.42": "GN",
    "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "emailAddress",
}  # fmt: skip


class DerError(ValueError):
    """The bytes are not a certificate as RFC 5280 describes it."""


class CertificateFields(NamedTuple):
    """The reported fields of a certificate; ``""`` if a field cannot be read.

    Attributes:
        not_before, not_after: RFC 3339, UTC.
        issuer, subject: In the format of RFC 4514, ``CN=db,O=Example``, at most ``MAX_NAME`` characters.
    """

    not_before: str
    not_after: str
    issuer: str
    subject: str


class _DerReader:
    """One level of DER elements; it never reads outside ``[at, end)``."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end

    def next(self) -> tuple[int, int, int]:
        """Return tag, start and end of the next element's contents."""
        data, at = self.data, self.at
        if at + 2 > self.end:
            raise DerError("ends inside an element's header")
        tag, length = data[at], data[at + 1]
        at += 2
        if tag & 0x1F == 0x1F:
            raise DerError("has a tag of more than one byte")
        if length & 0x80:
            octets = length & 0x7F
            if not 1 <= octets <= 4 or at + octets > self.end:
                raise DerError("has a length that DER does not allow")
            length = int.from_bytes(data[at : at + octets], "big")
            at += octets
        if at + length > self.end:
            raise DerError("has an element that is longer than its container")
        self.at = at + length
        return tag, at, at + length

    def enter(self, expected: int) -> "_DerReader":
        """Return a reader of the next element's contents; the element must have this tag."""
        tag, start, end = self.next()
        if tag != expected:
            raise DerError(f"has tag {tag:#04x} where {expected:#04x} belongs")
        return _DerReader(self.data, start, end)


def parse_certificate(der: bytes) -> CertificateFields:
    """Parse one certificate.

    Raises:
        DerError: The bytes are not a certificate.
    """
    if len(der) > MAX_CERTIFICATE:
        raise DerError(f"has {len(der)} bytes, more than {MAX_CERTIFICATE}")
    fields = _DerReader(der, 0, len(der)).enter(_SEQUENCE).enter(_SEQUENCE)
    if fields.at < fields.end and der[fields.at] == _VERSION:
        fields.next()
    fields.enter(_INTEGER)
    fields.enter(_SEQUENCE)
    issuer = _name(fields.enter(_SEQUENCE))
    validity = fields.enter(_SEQUENCE)
    not_before, not_after = _time(validity), _time(validity)
    return CertificateFields(not_before, not_after, issuer, _name(fields.enter(_SEQUENCE)))


def _time(reader: _DerReader) -> str:
    tag, start, end = reader.next()
    text = reader.data[start:end].decode("ascii", "replace")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise DerError(f"has tag {tag:#04x} where a time belongs")
    # Not with ``strptime``, which imports a module at its first use (see above).
    if (digits := _MOMENT.fullmatch(text)) is None:
        return ""
    try:
        year, month, day, hour, minute, second = map(int, digits.groups())
        moment = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001  formatted, never compared
    except ValueError:
        return ""
    return moment.isoformat() + "Z"


def _name(sequence: _DerReader) -> str:
    """Return issuer or subject, most specific part first."""
    parts: list[str] = []
    while sequence.at < sequence.end and len(parts) < MAX_PARTS:
        relative = sequence.enter(_SET)
        together: list[str] = []
        while relative.at < relative.end and len(together) < MAX_PARTS:
            together.append(_attribute(relative.enter(_SEQUENCE)))
        parts.append("+".join(together))
    text = ",".join(reversed(parts))
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


def _attribute(pair: _DerReader) -> str:
    tag, start, end = pair.next()
    if tag != _OID:
        raise DerError(f"has tag {tag:#04x} where an object identifier belongs")
    oid = _oid(pair.data[start : min(end, start + MAX_VALUE)])
    tag, start, end = pair.next()
    raw = pair.data[start : min(end, start + 4 * MAX_VALUE)]
    encoding = _ENCODINGS.get(tag)
    value = "#" + raw[: MAX_VALUE // 2].hex() if encoding is None else _escape(raw.decode(encoding, "replace"))
    return f"{_SHORT.get(oid, oid)}={value}"


def _oid(body: bytes) -> str:
    arcs: list[int] = []
    arc = 0
    for octet in body:
        arc = (arc << 7 | octet & 0x7F) & 0xFFFF_FFFF
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    if not arcs:
        return "0"
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def _escape(text: str) -> str:
    text = text[:MAX_VALUE]
    out = "".join(
        "\\" + char if char in ',+"\\<>;=' else char if char.isprintable() else f"\\{ord(char):02X}" for char in text
    )
    return "\\" + out if out[:1] in ("#", " ") else out
