"""An LDAP directory with StartTLS or LDAPS, for scenarios to extend. BER covers binds and searches only."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import MAX_MESSAGE_BYTES, HostileServer, ServerSession

BASE = b"dc=shop,dc=example"
_BIND, _UNBIND, _SEARCH, _EXTENDED = 0x60, 0x42, 0x63, 0x77
_START_TLS = b"1.3.6.1.4.1.1466.20037"
_INTEGER, _OCTETS, _ENUMERATED, _SEQUENCE, _SET = 0x02, 0x04, 0x0A, 0x30, 0x31
_REFERRAL, _INVALID_CREDENTIALS, _UNAVAILABLE = 10, 49, 52


class LDAP(HostileServer):
    """Finds customers.

    Args:
        at_once: Whether it speaks TLS from the first byte.

    Attributes:
        refuses_tls: Whether it refuses StartTLS once hostile.
        referral: Target of searches once hostile; empty: none.
    """

    name = "ldap"
    attack = "is honest"
    reference = "https://datatracker.ietf.org/doc/html/rfc4511"
    driver = "ldap3"
    rule = "redirected"

    referral = b""
    refuses_tls = False

    def __init__(self, authority: Authority, port: int = 0, *, at_once: bool = False) -> None:
        super().__init__(authority, port)
        self._at_once = at_once

    def serve(self, session: ServerSession) -> None:
        """Serve requests until the client unbinds."""
        if self._at_once:
            session.secure()
        while True:
            number, kind, body = _received(session)
            if kind == _UNBIND:
                return
            if kind == _BIND:
                _send(session, number, 0x61, _result(0 if self._login(body) else _INVALID_CREDENTIALS))
            elif kind == _EXTENDED:
                self._start_tls(session, number, body)
            elif kind == _SEARCH:
                self._search(session, number)
            else:
                raise ValueError("no scenario sends such a request")

    def lets_in(self, secret: bytes) -> bool:
        """Return whether this is the password; any is accepted here."""
        del secret
        return True

    def _login(self, body: bytes) -> bool:
        _, _, rest = _element(body)  # the version
        _, account, rest = _element(rest)
        _, secret, _ = _element(rest)
        self.on_leak(account + b" " + secret)
        return self.lets_in(secret)

    def _start_tls(self, session: ServerSession, number: int, body: bytes) -> None:
        wanted = _element(body)[1] == _START_TLS and not session.secured
        agreed = wanted and not (self.hostile and self.refuses_tls)
        _send(session, number, 0x78, _result(0 if agreed else _UNAVAILABLE))
        if agreed:
            session.secure()

    def _search(self, session: ServerSession, number: int) -> None:
        if self.hostile and self.referral:
            _send(session, number, 0x65, _result(_REFERRAL, _encode(0xA3, _encode(_OCTETS, self.referral))))
            return
        mail = _encode(_SEQUENCE, _encode(_OCTETS, b"mail") + _encode(_SET, _encode(_OCTETS, b"ann@example.com")))
        _send(session, number, 0x64, _encode(_OCTETS, b"uid=ann," + BASE) + _encode(_SEQUENCE, mail))
        _send(session, number, 0x65, _result(0))


def _encode(tag: int, value: bytes) -> bytes:
    if len(value) < 0x80:
        return bytes([tag, len(value)]) + value
    return bytes([tag, 0x82]) + len(value).to_bytes(2, "big") + value


def _result(code: int, more: bytes = b"") -> bytes:
    return _encode(_ENUMERATED, bytes([code])) + _encode(_OCTETS, b"") * 2 + more


def _send(session: ServerSession, number: int, kind: int, body: bytes) -> None:
    session.send(_encode(_SEQUENCE, _encode(_INTEGER, number.to_bytes(4, "big")) + _encode(kind, body)))


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Return the first element's tag and value, and the remaining data."""
    tag, size, at = data[0], data[1], 2
    if size & 0x80:
        at += size & 0x7F
        size = int.from_bytes(data[2:at], "big")
    if at + size > len(data):
        raise ValueError("an element longer than its message")
    return tag, data[at : at + size], data[at + size :]


def _received(session: ServerSession) -> tuple[int, int, bytes]:
    """Return number, kind and body of a message."""
    head = session.read(2)
    size = head[1]
    if size & 0x80:
        size = int.from_bytes(session.read(size & 0x7F), "big")
    if size > MAX_MESSAGE_BYTES:
        raise ValueError("a message of that size is no driver's")
    _, number, rest = _element(session.read(size))
    kind, body, _ = _element(rest)
    return int.from_bytes(number, "big"), kind, body
