"""Where a name leads: addresses are judged after resolution, and again on the connected socket."""

import ipaddress
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.169.253", "169.254.0.23", "169.254.10.10",
        "169.254.42.42", "169.254.169.250", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254",
        "fd00:ec2::253", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "fd00:a9fe:a9fe::1",
        "fe80::a9fe:a9fe",
    )
)  # fmt: skip
"""Addresses at which clouds hand out credentials; a test holds them to the collector's."""
METADATA_NAMES: Final = frozenset({
    "metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal",
    "metadata.azure.internal", "metadata.azure.com", "metadata.ec2.internal", "metadata.tencentyun.com",
    "rancher-metadata", "rancher-metadata.rancher.internal", "metadata.packet.net", "metadata.platformequinix.com",
    "api.metadata.cloud.ibm.com",
})  # fmt: skip
PRIVATE_NAMES: Final = (".internal", ".local", ".lan", ".svc", ".cluster.local", ".home.arpa", ".intranet", ".corp")
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Place:
    """One address of a server.

    Attributes:
        host: Name or address from the URL.
        address: Numeric.
        port: TCP port.
    """

    host: str
    address: Address
    port: int


def unwrap(address: Address) -> Address:
    """Return the IPv4 address inside a mapped, NAT64 or 6to4 one.

    >>> unwrap(ipaddress.ip_address("::ffff:169.254.169.254"))
    IPv4Address('169.254.169.254')
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def classify(address: Address) -> str:
    """Return ``metadata``, ``link-local``, ``loopback``, ``private``, ``unspecified``, ``multicast`` or ``public``."""
    inner = unwrap(address)
    if inner in METADATA:
        return "metadata"
    if inner.is_link_local:
        return "link-local"
    if inner.is_loopback:
        return "loopback"
    if inner.is_unspecified:
        return "unspecified"
    if inner.is_multicast:
        return "multicast"
    return "public" if inner.is_global else "private"


def resolve(host: str, port: int) -> list[Place]:
    """Return the addresses of a host, as the C library reads it.

    Raises:
        OSError: It has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found)
    return [Place(host, ipaddress.ip_address(text), port) for text in addresses]


def is_loopback_name(host: str) -> bool:
    """Return whether a URL names one's own machine, without resolution.

    >>> is_loopback_name("localhost"), is_loopback_name("127.0.0.1"), is_loopback_name("db")
    (True, True, False)
    """
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return classify(ipaddress.ip_address(host)) == "loopback"
    except ValueError:
        return False


def is_private_name(host: str) -> bool:
    """Return whether a name can only stand for something inside a network.

    >>> is_private_name("db"), is_private_name("db.prod.internal"), is_private_name("api.example.com")
    (True, True, False)
    """
    name = host.lower().rstrip(".")
    try:
        return classify(ipaddress.ip_address(name)) not in ("public", "metadata", "link-local")
    except ValueError:
        return "." not in name or name.endswith(PRIVATE_NAMES)


def find_fault(places: Iterable[Place], allowed: str, *, own_machine: bool) -> str:
    """Return what is wrong with addresses, or nothing.

    Args:
        places: Addresses of one host.
        allowed: ``auto`` (any but loopback behind a public name), ``any``, ``public`` or ``private``.
        own_machine: Whether the URL itself names loopback.
    """
    for place in places:
        kind = classify(place.address)
        if kind in ("metadata", "link-local", "unspecified", "multicast"):
            return f"{place.host} leads to the {kind} address {place.address}"
        if own_machine and kind != "loopback":
            return f"{place.host or 'the default host'} leads off the app's own machine, to {place.address}"
        if kind == "loopback" and allowed == "auto" and not own_machine and not is_private_name(place.host):
            return f"{place.host} leads to the app's own machine, {place.address}"
        if allowed == "public" and kind != "public" and not (kind == "loopback" and own_machine):
            return f"{place.host} leads to the {kind} address {place.address}, and this resource is public"
        if allowed == "private" and kind == "public":
            return f"{place.host} leads to the public address {place.address}, and this resource is private"
    return ""


def normalize(host: str) -> str:
    """Return a name or address as it is compared: in small letters, without final dot and brackets."""
    return host.lower().rstrip(".").strip("[]")


def is_allowed_host(host: str, patterns: Sequence[str], port: int | None = None) -> bool:
    """Return whether a host matches one of the patterns (``*.db.example``), regardless of case and a final dot.

    Args:
        host: Name or address.
        patterns: Names, with port or without; one without allows every port.
        port: TCP port; ``None``: any that a pattern names.

    >>> is_allowed_host("B.db.example.", ["*.db.example"]), is_allowed_host("db.example.evil", ["db.example"])
    (True, False)
    >>> is_allowed_host("db.example", ["db.example:5432"], 5432), is_allowed_host("db.example", ["db.example:5432"], 80)
    (True, False)
    """
    return any(_matches(normalize(host), pattern.strip(), port) for pattern in patterns)


def _matches(name: str, pattern: str, port: int | None) -> bool:
    host, colon, number = pattern.rpartition(":")
    has_port = bool(colon) and (number.isdecimal() or number == "*") and (":" not in host or host.endswith("]"))
    if has_port and port is not None and number not in ("*", str(port)):
        return False
    return fnmatchcase(name, normalize(host if has_port else pattern))
