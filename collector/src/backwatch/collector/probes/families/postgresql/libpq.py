"""What libpq and the OpenSSL under it say of a connection, for psycopg and psycopg2.

Both are reached through the driver's own extension module: symbols of a library handle are looked up in it and in what
it links to, so each driver's wheel answers for itself. Searching the process map instead finds the other wheel's
libraries as soon as both are imported, and crashes.
"""

import ctypes
import functools
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from backwatch.collector import names
from backwatch.collector.probes.toolkit.dbapi import Facts
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import TlsFacts, format_tls_version, read_certificate_facts

_POINTER: Final = ctypes.c_void_p
_VERIFY_PEER: Final = 1
_MAX_CERTIFICATE: Final = 65_536
MAX_TEXT: Final = 200
_SIGNATURES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "PQhostaddr": (ctypes.c_char_p, (_POINTER,)),
    "PQsslAttribute": (ctypes.c_char_p, (_POINTER, ctypes.c_char_p)),
    "PQsslStruct": (_POINTER, (_POINTER, ctypes.c_char_p)),
    "PQsslInUse": (ctypes.c_int, (_POINTER,)),
    "PQgssEncInUse": (ctypes.c_int, (_POINTER,)),
    "PQconnectionUsedPassword": (ctypes.c_int, (_POINTER,)),
    "PQconnectionUsedGSSAPI": (ctypes.c_int, (_POINTER,)),  # libpq 16
    "PQpass": (ctypes.c_char_p, (_POINTER,)),
    "SSL_get_certificate": (_POINTER, (_POINTER,)),
    "SSL_get1_peer_certificate": (_POINTER, (_POINTER,)),  # OpenSSL 3
    "SSL_get_peer_certificate": (_POINTER, (_POINTER,)),  # OpenSSL 1.1
    "SSL_get_verify_result": (ctypes.c_long, (_POINTER,)),
    "SSL_get_verify_mode": (ctypes.c_int, (_POINTER,)),
    "i2d_X509": (ctypes.c_int, (_POINTER, _POINTER)),
    "X509_free": (None, (_POINTER,)),
}
"""Result and arguments of each function, all of them: an undeclared pointer is cut to 32 bits, and the process dies."""
USED_PASSWORD: Final = "used-password"  # noqa: S105  a word for how, no secret
"""The server asked for the password, in a way that libpq keeps to itself."""
_OF_LOGIN: Final = ("PQconnectionUsedPassword", "PQconnectionUsedGSSAPI", "PQpass", "SSL_get_certificate")
MAX_MESSAGE: Final = 4_000
_REFUSALS: Final = (
    ("28P01", re.compile(r"FATAL: +password authentication failed for user")),
    (
        "28000",
        re.compile(r"FATAL: +(?:\w{1,20} authentication failed for user|no pg_hba\.conf entry|pg_hba\.conf rejects)"),
    ),
    ("28000", re.compile(r'FATAL: +role ".{0,200}?" (?:does not exist|is not permitted)', re.DOTALL)),
)
"""What PostgreSQL says of a refused login, by the code that it is."""
ENVIRONMENT: Final = {
    "host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
}  # fmt: skip


class Libpq:
    """The functions of one driver's libpq, as far as that build has them."""

    def __init__(self, file: str) -> None:
        library = ctypes.CDLL(file)
        self._functions: dict[str, Any] = {}
        for name, (result, arguments) in _SIGNATURES.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                continue
            function.restype = result
            function.argtypes = arguments
            self._functions[name] = function

    def _call(self, name: str, *arguments: Any) -> Any:
        function = self._functions.get(name)
        return None if function is None else function(*arguments)

    def peer(self, pgconn: int) -> str:
        """The numeric address of an open connection's server; empty for a unix socket."""
        return _text(self._call("PQhostaddr", pgconn))

    def facts(self, pgconn: int, sslmode: str) -> TlsFacts:
        """What is true of an open connection's encryption.

        Args:
            pgconn: Address of an open ``PGconn``.
            sslmode: In effect on it; only for whether the host's name was compared.
        """
        in_use = self._call("PQsslInUse", pgconn)
        if not in_use:
            # Kerberos encrypts without TLS: then "not encrypted" would be a lie, and "TLS" another.
            return {} if in_use is None or self._call("PQgssEncInUse", pgconn) else {"encrypted": False}
        facts = TlsFacts(
            encrypted=True,
            tls_version=format_tls_version(_text(self._call("PQsslAttribute", pgconn, b"protocol"))),
            cipher=_text(self._call("PQsslAttribute", pgconn, b"cipher"))[:80],
        )
        session = self._call("PQsslStruct", pgconn, b"OpenSSL")
        if session:
            facts["verified"] = self._verified(session, sslmode)
            facts.update(cast("TlsFacts", read_certificate_facts(self._certificate(session))))
        elif sslmode in ("verify-ca", "verify-full"):
            facts["verified"] = "full" if sslmode == "verify-full" else "chain"
        return facts

    def login(self, pgconn: int) -> str:
        """How an open connection logged in, as far as libpq tells; empty where that is not known.

        ``none`` where a password was there to be given and nothing was asked for: neither it nor a certificate or a
        ticket, and the peer of a unix socket is not who might have been asked for.
        """
        if self._call("PQconnectionUsedPassword", pgconn):
            return USED_PASSWORD
        if not all(name in self._functions for name in _OF_LOGIN) or not self.peer(pgconn):
            return ""
        session = self._call("PQsslStruct", pgconn, b"OpenSSL")
        certificate = session and self._call("SSL_get_certificate", session)
        otherwise = certificate or self._call("PQconnectionUsedGSSAPI", pgconn)
        return "" if otherwise or not self._call("PQpass", pgconn) else "none"

    def _verified(self, session: int, sslmode: str) -> str:
        # Not from sslmode alone: "require" verifies the chain as soon as a root certificate lies in its usual place.
        mode, result = self._call("SSL_get_verify_mode", session), self._call("SSL_get_verify_result", session)
        if mode is None or result is None:
            return ""
        if not mode & _VERIFY_PEER or result != 0:
            return "none"
        return "full" if sslmode == "verify-full" else "chain"

    def _certificate(self, session: int) -> bytes | None:
        get = self._functions.get("SSL_get1_peer_certificate") or self._functions.get("SSL_get_peer_certificate")
        if get is None or "i2d_X509" not in self._functions or "X509_free" not in self._functions:
            return None
        certificate = get(session)
        if not certificate:
            return None
        try:
            size = self._call("i2d_X509", certificate, None)
            if not 0 < size <= _MAX_CERTIFICATE:
                return None
            buffer = ctypes.create_string_buffer(size)
            at = _POINTER(ctypes.addressof(buffer))
            self._call("i2d_X509", certificate, ctypes.byref(at))
            return buffer.raw
        finally:
            self._call("X509_free", certificate)


@functools.lru_cache(maxsize=8)
def libpq(file: str) -> Libpq | None:
    """The libpq behind this extension module; ``None`` where it cannot be reached."""
    try:
        return Libpq(file)
    except OSError:
        return None


def asked(explicit: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """What a connection was asked for: the app's own words, then libpq's environment, then nothing."""
    found = {key: explicit.get(key) or environment.get(variable, "") for key, variable in ENVIRONMENT.items()}
    if not found["sslmode"] and "service" not in explicit and not environment.get("PGSERVICE"):
        found["sslmode"] = "verify-full" if explicit.get("sslrootcert") == "system" else "prefer"
    return found


def is_explicit(sslmode: str, explicit: Mapping[str, str] | None, environment: Mapping[str, str]) -> bool | None:
    """Whether the app itself asked for this ``sslmode``; ``None`` where its words are not known (``explicit``)."""
    if sslmode not in ("", "prefer") or environment.get("PGSSLMODE"):
        return True  # nobody gets anything but "prefer" without asking
    return None if explicit is None else "sslmode" in explicit


def superuser(told: object) -> tuple[tuple[str, bool], ...]:
    """What the server says of the account's rights, by its own parameter ``is_superuser``: ``on``, ``off``, or nothing.

    >>> superuser("on"), superuser(b"off"), superuser(None)
    ((('backwatch.account.superuser', True),), (('backwatch.account.superuser', False),), ())
    """
    word = told.decode("ascii", "replace") if isinstance(told, bytes) else told
    return ((names.ACCOUNT_SUPERUSER, word == "on"),) if word in ("on", "off") else ()


def session(
    said: Mapping[str, str],
    *,
    requested_explicit: bool | None,
    server_version: str = "",
    tls: TlsFacts | None = None,
    rights: object = None,
    login: str = "",
) -> Session:
    """The session that these parameters name.

    Args:
        said: ``host``, ``hostaddr`` (numeric, once connected), ``port``, ``user``, ``dbname``, ``sslmode``.
        rights: The server's ``is_superuser``.
        login: How the account logged in.
        tls: What is known of its encryption; nothing where there is no connection.
    """
    host, numeric, port = said.get("host", ""), said.get("hostaddr", ""), said.get("port") or "5432"
    number = int(port) if port.isdigit() else 0
    local = host.startswith(("/", "@")) and not numeric
    address = f"{host}/.s.PGSQL.{port}" if local else host or numeric
    return Session(
        system="postgresql",
        address=address[:MAX_TEXT],
        port=0 if local else number,
        namespace=said.get("dbname", "")[:MAX_TEXT],
        transport="unix" if local else "tcp",
        requested=said.get("sslmode", ""),
        requested_explicit=requested_explicit,
        peer_address=address[:MAX_TEXT] if local else numeric,
        peer_port=number if numeric else 0,
        account=said.get("user", "")[:MAX_TEXT],
        auth_method=login,
        server_version=words(server_version),
        extra=superuser(rights),
        **(tls or {}),
    )


def refused(message: str) -> TlsFacts:
    """Not encrypted, where libpq says that the server has no TLS; a failed connection tells nothing else."""
    return {"encrypted": False} if "server does not support SSL" in message else {}


def login_code(message: str) -> Facts:
    """The SQLSTATE of a refused login, where libpq hands on the server's words alone.

    Nothing where they say another thing, or it in another language.

    >>> login_code('connection to server at "::1", port 5432 failed: FATAL:  role "x" does not exist')[0][1]
    '28000'
    """
    found = next((code for code, words in _REFUSALS if words.search(message[:MAX_MESSAGE])), "")
    return ((names.STATUS_CODE, found),) if found else ()


def _text(value: bytes | None) -> str:
    return (value or b"").decode("ascii", "replace")
