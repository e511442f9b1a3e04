"""MySQL and MariaDB: the greeting, SSLRequest, and a login without a password under a name that no account has."""

import struct
from typing import ClassVar, Final

from backwatch.resource.inspections import PROBE_NAME, Account, Inspection, Link, query
from backwatch.resource.resource import Resource
from backwatch.resource.url import ServiceUrl

CLIENT_SSL: Final = 0x800
CAPABILITIES: Final = 0x0008_A200  # protocol 4.1, secure connection, plugin auth, transactions
TLS_REQUIRED: Final = frozenset({3159, 1251})
"""ER_SECURE_TRANSPORT_REQUIRED, and what proxies answer instead."""
POWERS: Final = (
    "ALL PRIVILEGES ON *.*", "SUPER", "FILE", "CREATE USER", "PROCESS", "SHUTDOWN", "GRANT OPTION", "RELOAD",
    "SYSTEM_USER", "CONNECTION ADMIN", "BINLOG ADMIN",
)  # fmt: skip


class MySQLInspection(Inspection):
    """One port for both; TLS begins after the greeting."""

    schemes: ClassVar = ("mysql", "mariadb")
    default_logins: ClassVar = (("root", ""), ("root", "root"), ("root", "password"))

    def start_tls(self, link: Link) -> bool:
        """Read the greeting, and ask for TLS if it offers that."""
        if not _read_capabilities(link) & CLIENT_SSL:
            return False
        _send(link, struct.pack("<IIB23x", CAPABILITIES | CLIENT_SSL, 1 << 24, 33), 1)
        return True

    def accepts_plaintext(self, link: Link, url: ServiceUrl) -> str:
        """Return whether the server judges a login without TLS by its password."""
        del url
        _read_capabilities(link)
        code, error = _log_in(link, PROBE_NAME)
        if code == 0xFF and error in TLS_REQUIRED:
            return ""
        return "the server takes logins without TLS"

    def read_account(self, resource: Resource) -> Account:
        """Ask for the grants of the account."""
        versions, names, grants = query(resource, "select version()", "select current_user()", "show grants")
        text = "\n".join(str(row[0]).partition(" IDENTIFIED BY")[0].upper() for row in grants if row)
        everywhere = "\n".join(line for line in text.splitlines() if " ON *.* " in f"{line} ")
        powers = [power for power in POWERS if power in everywhere]
        return Account(name=str(names[0][0]), version=str(versions[0][0]), powers=powers)


def _read_packet(link: Link) -> bytes:
    header = link.read(4)
    return link.read(int.from_bytes(header[:3], "little"))


def _send(link: Link, body: bytes, number: int) -> None:
    link.send(len(body).to_bytes(3, "little") + bytes([number]) + body)


def _read_capabilities(link: Link) -> int:
    greeting = _read_packet(link)
    if not greeting or greeting[0] != 10 or b"\0" not in greeting:
        raise ConnectionError("the service sent no greeting of MySQL")
    place = greeting.index(b"\0") + 1 + 4 + 8 + 1
    low = int.from_bytes(greeting[place : place + 2], "little")
    return low | int.from_bytes(greeting[place + 5 : place + 7], "little") << 16


def _log_in(link: Link, user: str) -> tuple[int, int]:
    """Return the first byte of the server's answer to a login with an empty password, and its error code."""
    body = (
        struct.pack("<IIB23x", CAPABILITIES, 1 << 24, 33) + user.encode() + b"\0" + b"\0" + b"mysql_native_password\0"
    )
    _send(link, body, 1)
    answer = _read_packet(link)
    if answer[:1] == b"\xfe":  # another method; an empty password is an empty answer
        _send(link, b"", 3)
        answer = _read_packet(link)
    return answer[0], int.from_bytes(answer[1:3], "little") if answer[:1] == b"\xff" else 0
