"""Parse hosts as C libraries and browsers do, and classify where they lead.

A name that looks harmless to a careless check is an address to the client that connects: ``0xa9.254.0251.254``,
``2852039166``, ``[::ffff:a9fe:a9fe]``. This module is the only place that parses them.
"""

import re
from functools import lru_cache
from socket import AF_INET6, inet_pton
from typing import Final, NamedTuple
from urllib.parse import unquote

from backwatch.collector.destinations.metadata import METADATA_ADDRESSES, METADATA_NAMES

UNKNOWN, PUBLIC, INTERNAL, CLUSTER_LOCAL, LINK_LOCAL, LOOPBACK, METADATA = range(7)
"""Classes of hosts. Of two classes of one destination, by its name and by its peer, the higher one counts."""
CLASS_NAMES: Final = ("unknown", "public", "internal", "cluster-local", "link-local", "loopback", "metadata")
MAX_REMEMBERED: Final = 1_024
"""Cached hosts: every network in a rule needs each of them."""
MAX_HOST_CHARACTERS: Final = 300
_MAX_TARGET_CHARACTERS: Final = 2_000
_DOTS: Final = str.maketrans("\u3002\uff0e\uff61\u2024", "....")
_BLANKS: Final = re.compile(r"[\x00-\x20\x7f\u200b\u2060\ufeff]")
_NUMBER: Final = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)")
_LABEL: Final = re.compile(r"(?=.*\w)[\w.~-]+")
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):(?=//)", re.IGNORECASE)
_OPAQUE: Final = re.compile(r"([a-z][a-z0-9+.-]*):(?!\d{1,5}(?:[/?#]|$))", re.IGNORECASE)
_PORT: Final = re.compile(r":(\d{1,5})?$")
_EMBEDDED: Final = re.compile(r"(?:^|[.-])(\d{1,3})[.-](\d{1,3})[.-](\d{1,3})[.-](\d{1,3})$")
_DIGITS: Final = re.compile(r"\d+")
_SECOND_LEVEL: Final = frozenset(("ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"))
"""Labels below a country under which domains are registered."""
_ECHOING: Final = (".nip.io", ".sslip.io", ".xip.io", ".traefik.me")
"""Public names that resolve to the address that stands in them."""
_LOOPBACK_NAMES: Final = frozenset((
    "localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback", "localtest.me", "lvh.me",
    "vcap.me", "lacolhost.com",
))  # fmt: skip
_LOOPBACK_SUFFIXES: Final = tuple(
    f".{name}" for name in ("localhost", "localdomain", "localtest.me", "lvh.me", "vcap.me")
)
_CLUSTER_SUFFIXES: Final = (
    ".svc", ".cluster.local", ".internal", ".local", ".lan", ".intranet", ".corp", ".home.arpa", ".home", ".private",
    ".consul", ".default", ".kube-system", ".mesh",
)  # fmt: skip


def _network(prefix: str, bits: int, kind: int) -> tuple[int, int, int, int]:
    packed = parse_address(prefix, unwrap=False)
    size = 8 * len(packed)
    return size, int.from_bytes(packed, "big") >> (size - bits), size - bits, kind


class Target(NamedTuple):
    """The authority of a URL or of ``host:port``.

    Attributes:
        scheme: Lower-cased; empty where there is none.
        host: Lower-cased, without brackets; empty where there is none.
        port: -1 where there is none.
    """

    scheme: str
    host: str
    port: int


def split_target(target: str) -> Target:
    r"""Return scheme, host and port of a URL or of ``host:port``. Backslashes count as slashes, as browsers have it.

    >>> split_target("https://User@Example.org:443/a"), split_target("10.0.0.7:6379")
    (Target(scheme='https', host='example.org', port=443), Target(scheme='', host='10.0.0.7', port=6379))
    >>> split_target("http:///\\evil.example\\@good.example/"), split_target("/login")
    (Target(scheme='http', host='evil.example', port=-1), Target(scheme='', host='', port=-1))
    """
    text = target[:_MAX_TARGET_CHARACTERS].strip().replace("\\", "/")
    scheme = _SCHEME.match(text) or _OPAQUE.match(text)
    rest = text[scheme.end() :] if scheme else text
    if rest.startswith("//"):
        rest = rest.lstrip("/")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    bracket = authority.rfind("]")
    found = _PORT.search(authority, max(bracket, 0)) if bracket >= 0 or authority.count(":") == 1 else None
    host = authority[: found.start()] if found else authority
    port = int(found[1]) if found and found[1] else -1
    return Target(scheme[1].lower() if scheme else "", host.strip("[]").lower(), port)


def normalize_host(host: str) -> str:
    r"""Return the host in plain ASCII where it has such a form: unescaped, folded, without brackets and final dots.

    >>> normalize_host("%31%32%37.0.0.1"), normalize_host("\uff4cocalhost\u3002"), normalize_host("[fe80::1%25eth0]")
    ('127.0.0.1', 'localhost', 'fe80::1')
    """
    text = host[:MAX_HOST_CHARACTERS]
    if ":" in text:
        text = text.partition("%")[0]  # the zone of an IPv6 address
    for _ in range(2):
        if "%" in text:
            text = unquote(text)
    if not text.isascii():
        from unicodedata import normalize

        text = normalize("NFKC", text.translate(_DOTS)).translate(_DOTS)
    return _BLANKS.sub("", text).strip("[]").rstrip(".").lower()


@lru_cache(MAX_REMEMBERED)
def parse_address(host: str, *, unwrap: bool = True) -> bytes:
    """Return the address that a host names, 4 or 16 bytes; empty where it is a name.

    Args:
        host: Untrusted text: as ``inet_aton`` reads it (short, hexadecimal, octal), or an IPv6 address.
        unwrap: Return the IPv4 address inside an IPv6 one (mapped, translated, NAT64, 6to4, Teredo, ISATAP).

    >>> [parse_address(host).hex() for host in ("127.1", "0xa9.254.0251.254", "2852039166", "[::ffff:10.0.9.9]")]
    ['7f000001', 'a9fea9fe', 'a9fea9fe', '0a000909']
    >>> parse_address("64:ff9b::a9fe:a9fe").hex(), parse_address("db.internal"), parse_address("256.1.1.1")
    ('a9fea9fe', b'', b'')
    """
    text = normalize_host(host)
    if ":" not in text:
        return _parse_ipv4(text)
    try:
        packed = inet_pton(AF_INET6, text)
    except (OSError, ValueError):
        return b""
    return (_unwrap(packed) if unwrap else b"") or packed


def _parse_ipv4(text: str) -> bytes:
    """Parse one to four numbers, of which the last fills the rest of the address."""
    parts = text.split(".", 4)
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return b""
    values = [_parse_number(part) for part in parts]
    if any(value > 255 for value in values[:-1]) or values[-1] >= 256 ** (5 - len(values)):
        return b""
    return bytes(values[:-1]) + values[-1].to_bytes(5 - len(values), "big")


def _parse_number(text: str) -> int:
    if text[:2].lower() == "0x":
        return int(text[2:] or "0", 16)
    octal = text[0] == "0" and not set(text) & {"8", "9"}
    return int(text[-40:], 8 if octal else 10)


def _unwrap(packed: bytes) -> bytes:
    """Return the IPv4 address that an IPv6 address carries; empty where it carries none."""
    high, low = packed[:12], packed[12:]
    if high in _CARRIERS or packed[:6] == _LOCAL_NAT64 or packed[8:12] in _ISATAP:
        return low
    if not any(high) and any(low[:3]):  # IPv4-compatible; what is lower is :: and ::1
        return low
    if packed[:2] == b"\x20\x02":  # 6to4
        return packed[2:6]
    if packed[:4] == b"\x20\x01\0\0":  # Teredo: the client's address is inverted
        return bytes(byte ^ 0xFF for byte in low)
    return b""


_CARRIERS: Final = frozenset((
    b"\0" * 10 + b"\xff\xff", b"\0" * 8 + b"\xff\xff\0\0", b"\0\x64\xff\x9b" + b"\0" * 8,
))  # fmt: skip
"""Mapped, translated (SIIT) and NAT64 addresses."""
_LOCAL_NAT64: Final = b"\0\x64\xff\x9b\0\x01"
_ISATAP: Final = (b"\0\0\x5e\xfe", b"\x02\0\x5e\xfe")
_METADATA: Final = frozenset(parse_address(address, unwrap=False) for address in METADATA_ADDRESSES)
_NETWORKS: Final = (
    _network("127.0.0.0", 8, LOOPBACK), _network("0.0.0.0", 8, LOOPBACK),  # noqa: S104  where 0.0.0.0 leads
    _network("169.254.0.0", 16, LINK_LOCAL), _network("10.0.0.0", 8, INTERNAL), _network("172.16.0.0", 12, INTERNAL),
    _network("192.168.0.0", 16, INTERNAL), _network("100.64.0.0", 10, INTERNAL), _network("192.0.0.0", 24, INTERNAL),
    _network("224.0.0.0", 3, INTERNAL), _network("::1", 128, LOOPBACK), _network("::", 128, LOOPBACK),
    _network("fe80::", 10, LINK_LOCAL), _network("fc00::", 7, INTERNAL), _network("fec0::", 10, INTERNAL),
    _network("ff00::", 8, INTERNAL),
)  # fmt: skip


def classify_address(packed: bytes) -> int:
    """Return the class of an address of 4 or 16 bytes."""
    if packed in _METADATA:
        return METADATA
    size, value = 8 * len(packed), int.from_bytes(packed, "big")
    for bits, prefix, shift, kind in _NETWORKS:
        if bits == size and value >> shift == prefix:
            return kind
    return PUBLIC


@lru_cache(MAX_REMEMBERED)
def classify_host(host: str) -> int:
    r"""Return the class of a host: a name or an address, in any spelling that a client may accept.

    >>> [CLASS_NAMES[classify_host(host)] for host in ("api.example.com", "10.1", "redis.default.svc", "0", "fe80::1")]
    ['public', 'internal', 'cluster-local', 'loopback', 'link-local']
    >>> [CLASS_NAMES[classify_host(it)] for it in ("\uff10xa9fea9fe", "Metadata.Google.Internal", "10-0-0-5.nip.io")]
    ['metadata', 'metadata', 'internal']
    """
    if host.startswith(("/", "@")):
        return UNKNOWN  # a socket of the machine
    packed = parse_address(host)
    if packed:
        of_carrier = classify_address(parse_address(host, unwrap=False))  # fd00:…, which carries no address of others
        return max(classify_address(packed), of_carrier)
    name = normalize_host(host)
    if not _LABEL.fullmatch(name):
        return UNKNOWN
    if name in METADATA_NAMES:
        return METADATA
    if name in _LOOPBACK_NAMES or name.endswith(_LOOPBACK_SUFFIXES):
        return LOOPBACK
    if name.endswith(_ECHOING):
        found = _EMBEDDED.search(name.rpartition(".")[0].rpartition(".")[0])
        return classify_host(".".join(found.groups())) if found else PUBLIC
    return CLUSTER_LOCAL if "." not in name or name.endswith(_CLUSTER_SUFFIXES) else PUBLIC


def destination_key(host: str) -> str:
    """Return what makes a host another destination than those that an app knows; empty where it is unknown.

    A public name counts by its domain, as tenants and buckets have names below it; a service of a cluster without its
    pods, and a name without its numbers; an internal address by its network, in which pods come and go.

    >>> [destination_key(host) for host in ("eu.api.example.co.uk", "redis-0.redis.shop.svc.cluster.local", "10.1.2.3")]
    ['example.co.uk', 'redis.shop.svc', '0a01']
    >>> destination_key("ip-10-0-3-7.ec2.internal"), destination_key("127.1"), destination_key("9.9.9.9")
    ('ip-#-#-#-#.ec#.internal', 'loopback', '09090909')
    """
    kind = classify_host(host)
    if kind == UNKNOWN:
        return ""
    if kind >= LINK_LOCAL:
        return CLASS_NAMES[kind]
    packed = parse_address(host)
    if packed:
        return packed[: (2 if len(packed) == 4 else 6) if kind == INTERNAL else 16].hex()
    labels = normalize_host(host).split(".")
    if kind == PUBLIC:
        second = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
        return ".".join(labels[-3 if second else -2 :])
    if "svc" in labels[1:]:
        at = labels.index("svc", 1)
        labels = labels[max(0, at - 2) : at + 1]
    return _DIGITS.sub("#", ".".join(labels))


def classify_network(host: str) -> str:
    """Return ``external``, ``internal`` or ``loopback``; ``?`` where it is unknown.

    >>> classify_network("0x7f.1"), classify_network("redis.default.svc"), classify_network("evil.example")
    ('loopback', 'internal', 'external')
    """
    kind = classify_host(host)
    if kind in (UNKNOWN, PUBLIC, LOOPBACK):
        return {UNKNOWN: "?", PUBLIC: "external", LOOPBACK: "loopback"}[kind]
    return "internal"
