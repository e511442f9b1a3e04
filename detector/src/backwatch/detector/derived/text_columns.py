"""Columns parsed from texts: a certificate's end as a number, a redirect's host, whether the peer is local.

Kernels see texts as keyed hashes only, so this module parses the values that they compute with, once per distinct text.
The caches hold pure functions: evicting an entry changes no result.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.destinations.host import (
    CLUSTER_LOCAL,
    INTERNAL,
    LOOPBACK,
    METADATA,
    UNKNOWN,
    classify_address,
    classify_host,
    destination_key,
    parse_address,
    split_target,
)
from backwatch.collector.facts.fact import Fact
from backwatch.detector.derived.cached_number import FACTORS, CachedNumber
from backwatch.detector.derived.certificate_names import is_of_cloud, is_public, organisation, subject_domain
from backwatch.detector.kernels.bounded_cache import BoundedCache

NOT_AFTER: Final = "tls.server.not_after.ns"
"""``tls.server.not_after`` in nanoseconds since the epoch, UTC; -1: absent or invalid."""
TLS_RANK: Final = "tls.protocol.version.rank"
"""Age of ``tls.protocol.version``, higher is newer; -1: absent or unknown."""
ISSUED_BY: Final = "tls.server.issuer.organisation"
"""Keyed hash of the organisation in ``tls.server.issuer``, of the whole text where it names none; 0: absent. An
authority signs with several certificates of its own in turn, under one organisation."""
ISSUER_PUBLIC: Final = "tls.server.issuer.public"
"""1: the authority gives certificates to anybody who controls a name."""
SUBJECT_DOMAIN: Final = "tls.server.subject.domain"
"""Keyed hash of the domain in ``tls.server.subject`` that the nodes of a service share; 0: absent."""
SUBJECT_OF_CLOUD: Final = "tls.server.subject.cloud"
"""1: that domain is one of a cloud, for which no one else gets certificates."""
REDIRECT_HOST: Final = "backwatch.redirect.host"
"""Keyed hash of the host in ``backwatch.redirect.target``, comparable with ``server.address``; 0: absent, or no
host."""
REDIRECT_PORT: Final = "backwatch.redirect.port"
"""Port in ``backwatch.redirect.target``; -1: absent."""
REDIRECT_PLAIN: Final = "backwatch.redirect.plain"
"""1 where the redirect's target has a plaintext scheme; else 0."""
MAIL_DOMAINS: Final = "backwatch.mail.domains"
"""Domains of a message's recipients: per call one uint64 array of keyed hashes; ``None``: no message."""
HAS_MAIL_DOMAINS: Final = "backwatch.mail.domains.any"
"""True where the call is a message with recipients' domains."""
PEER_LOCAL: Final = "backwatch.peer.local"
"""1: the session stays on the machine, so that no attacker is on its path; 0: it leaves it, or counts as if it did."""

DESTINATION_CLASS: Final = "backwatch.destination.class"
"""Class of the destination (``collector/destinations/host.py``): the higher one of its name's and its peer's."""
NAMED_CLASS: Final = "backwatch.destination.class.named"
"""Class of ``server.address`` alone."""
DESTINATION_KEY: Final = "backwatch.destination.key"
"""Keyed hash of what makes a destination another one (see ``destination_key``); 0: absent."""
TO_METADATA: Final = "backwatch.destination.metadata"
"""1 where the app, or a proxy for it, goes to a cloud's metadata service, in any spelling of its name or address."""
REDIRECT_INWARD: Final = "backwatch.redirect.inward"
"""1 where a redirect leads to metadata, or further inside than the service that responds stands."""

FACTS: Final = (
    Fact(
        name=TO_METADATA, type="flag", scope="derived", kind="peer", domain="number", label="To metadata",
        meaning="The destination is a cloud's metadata service, by name or address in any spelling, or by its peer.",
    ),
    Fact(
        name=REDIRECT_INWARD, type="flag", scope="derived", kind="leads to", domain="number", label="Redirect inward",
        meaning="The redirect leads to a cloud's metadata service, or from a public service to an internal host, or "
        "from any other machine to the loopback or a link-local address.",
    ),
    Fact(
        name=PEER_LOCAL, type="flag", scope="derived", kind="peer", domain="number", label="Local peer",
        meaning="The session stays on the machine (a unix socket, in the process, loopback unless that is judged).",
    ),
)  # fmt: skip
"""The columns of this module that rules may read."""

CONTINUES: Final = "backwatch.goes_on"
"""True where a call continues to read the result of an earlier one."""

MAX_CACHED_LISTS: Final = 10_000
LAST_NS: Final = (1 << 63) - 1
_ON_MACHINE: Final = frozenset(("unix", "inproc", "pipe"))
_OWN_NAMES: Final = frozenset(("localhost", "localhost.localdomain", "ip6-localhost"))
_TLS: Final = re.compile(r"(?:(ssl)|tls)? *v?(\d)(?:\.(\d))?", re.IGNORECASE)
UNREADABLE: Final = "?"
"""A host that the collector could not parse, though some client may: it is never known."""
_UNREADABLE: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?(?://)?\?(?:[/:]|\Z)", re.IGNORECASE)


def instant_ns(text: str) -> int:
    """Parse a time of RFC 3339 to nanoseconds since the epoch; -1 where it is invalid, or before the epoch.

    Times beyond 64 bits become the last time that fits: a certificate that never ends has 9999-12-31.

    >>> instant_ns("2026-01-01T00:00:00Z"), instant_ns("soon")
    (1767225600000000000, -1)
    >>> instant_ns("9999-12-31T23:59:59Z") == LAST_NS
    True
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return -1
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        return min(int(found.timestamp()) * 1_000_000_000, LAST_NS) if found.timestamp() >= 0 else -1
    except (OverflowError, ValueError):
        return -1


def tls_rank(version: str) -> int:
    """Return the rank of a TLS version: TLS 1.3 is 13, and every SSL ranks lower; -1 where it is invalid.

    >>> tls_rank("1.3"), tls_rank("TLSv1.2"), tls_rank("1"), tls_rank("SSLv3"), tls_rank("DTLS")
    (13, 12, 10, 3, -1)
    """
    found = _TLS.fullmatch(version[:20])
    if found is None:
        return -1
    return int(found[2]) if found[1] else 10 * int(found[2]) + int(found[3] or 0)


def redirect_host(target: str) -> str:
    """Return the host of a redirect's target, lower-cased, without brackets; empty where there is none.

    >>> redirect_host("https://User@Example.org:443/a"), redirect_host("10.0.0.7:6379"), redirect_host("http://[::1]/")
    ('example.org', '10.0.0.7', '::1')
    >>> redirect_host("/login"), redirect_host("https://?/")
    ('', '?')
    """
    return UNREADABLE if _UNREADABLE.match(target) else split_target(target).host


def redirect_port(target: str) -> int:
    """Return the port of a redirect's target; -1 where there is none.

    >>> redirect_port("https://example.org:8443/a"), redirect_port("10.0.0.7:6379"), redirect_port("https://a/:1")
    (8443, 6379, -1)
    """
    return split_target(target).port


def mail_domains(statement: str) -> list[str]:
    """Return the recipients' domains in a message's statement.

    >>> mail_domains("SEND a.net,x.org,?"), mail_domains("STARTTLS")
    (['a.net', 'x.org'], [])
    """
    verb, _, listed = statement.partition(" ")
    return [domain for domain in listed.split(",") if domain not in ("", "?", "\u2026")] if verb == "SEND" else []


def is_plain_target(target: str) -> int:
    """Return 1 where a redirect's target has a plaintext scheme of the web, else 0."""
    return int(split_target(target).scheme in ("http", "ws"))


def leads_inward(target: NDArray[np.int8], source: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Return where redirects lead to metadata, or further inside than the services that respond stand.

    Args:
        target: Classes of the redirects' targets.
        source: Classes of the services.

    >>> leads_inward(np.array([INTERNAL, LOOPBACK, LOOPBACK]), np.array([CLUSTER_LOCAL, INTERNAL, LOOPBACK]))
    array([False,  True, False])
    """
    inside = (target >= INTERNAL) & (source < INTERNAL) | (target > CLUSTER_LOCAL) & (source <= CLUSTER_LOCAL)
    return (target == METADATA) | inside


def stays_local(transport: str, peer: str, address: str, *, judge_loopback: bool = False) -> bool:
    """Return whether a session stays on the machine: a unix socket, inside the process, or a loopback address.

    Args:
        transport: ``network.transport``.
        peer: ``network.peer.address``.
        address: ``server.address``; a loopback one counts only without a reported peer.
        judge_loopback: Treat loopback addresses as any other.

    >>> stays_local("tcp", "127.0.0.1", "db"), stays_local("tcp", "10.0.0.5", "localhost"), stays_local("", "", "::1")
    (True, False, True)
    >>> stays_local("unix", "", "", judge_loopback=True), stays_local("tcp", "::1", "", judge_loopback=True)
    (True, False)
    """
    if transport.lower() in _ON_MACHINE or address.startswith(("/", "@")):
        return True
    if judge_loopback:
        return False
    return _is_loopback(peer) if peer else address.lower() in _OWN_NAMES or _is_loopback(address)


def _is_loopback(text: str) -> bool:
    packed = parse_address(text)
    return bool(packed) and classify_address(packed) == LOOPBACK


class TextColumns:
    """Computes the columns of this module, with a cache of distinct texts.

    Args:
        hash_text: The installation's keyed hash.
        judge_loopback: Treat loopback peers as any other.
    """

    def __init__(self, hash_text: Callable[[bytes], int], *, judge_loopback: bool = False) -> None:
        self._hash = hash_text
        self._judge_loopback = judge_loopback
        self._mail = np.uint64(hash_text(b"smtp"))
        self._domains = BoundedCache[int, NDArray[np.uint64]](MAX_CACHED_LISTS)
        self._fetch = np.uint64(hash_text(b"FETCH"))
        self._places, self._destinations = CachedNumber(), CachedNumber()
        self._known = defaultdict[str, CachedNumber](CachedNumber)

    def columns(self, columns: Mapping[str, NDArray[Any]], text: Callable[[str, int], str]) -> dict[str, NDArray[Any]]:
        """Compute the columns.

        Args:
            columns: The texts' keyed hashes by contract name.
            text: Returns a fact's text by its name and a row.
        """

        def hash_host(target: str) -> int:
            found = redirect_host(target)
            return self._hash(found.encode()) if found else 0

        def hash_issuer(issuer: str) -> int:
            return self._hash(organisation(issuer).encode())

        def hash_domain(subject: str) -> int:
            return self._hash(subject_domain(subject).encode())

        def classify_target(target: str) -> int:
            return classify_host(redirect_host(target))

        local, destination, named, key = self._where(columns, text)
        domains, has_domains = self._mail_domains(columns, text)
        target = self._read(REDIRECT_INWARD, names.REDIRECT_TARGET, columns, text, classify_target, UNKNOWN)
        return {
            NOT_AFTER: self._read(NOT_AFTER, names.CERT_NOT_AFTER, columns, text, instant_ns, -1),
            TLS_RANK: self._read(TLS_RANK, names.TLS_VERSION, columns, text, tls_rank, -1),
            ISSUED_BY: self._read(ISSUED_BY, names.CERT_ISSUER, columns, text, hash_issuer, 0),
            ISSUER_PUBLIC: self._read(ISSUER_PUBLIC, names.CERT_ISSUER, columns, text, is_public, 0),
            SUBJECT_DOMAIN: self._read(SUBJECT_DOMAIN, names.CERT_SUBJECT, columns, text, hash_domain, 0),
            SUBJECT_OF_CLOUD: self._read(SUBJECT_OF_CLOUD, names.CERT_SUBJECT, columns, text, is_of_cloud, 0),
            REDIRECT_HOST: self._read(REDIRECT_HOST, names.REDIRECT_TARGET, columns, text, hash_host, 0),
            REDIRECT_PORT: self._read(REDIRECT_PORT, names.REDIRECT_TARGET, columns, text, redirect_port, -1),
            REDIRECT_PLAIN: self._read(REDIRECT_PLAIN, names.REDIRECT_TARGET, columns, text, is_plain_target, 0),
            MAIL_DOMAINS: domains,
            HAS_MAIL_DOMAINS: has_domains,
            PEER_LOCAL: local,
            DESTINATION_CLASS: destination,
            NAMED_CLASS: named,
            DESTINATION_KEY: key,
            TO_METADATA: (destination == METADATA).astype(np.int8),
            REDIRECT_INWARD: leads_inward(target.astype(np.int8), destination).astype(np.int8),
            CONTINUES: columns[names.OPERATION] == self._fetch,
        }

    def _mail_domains(
        self, columns: Mapping[str, NDArray[Any]], text: Callable[[str, int], str]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        found = np.empty(columns[names.SYSTEM].shape[0], object)
        has_domains = np.zeros(found.shape[0], np.bool_)

        def domains(row: int) -> NDArray[np.uint64]:
            listed = mail_domains(text(names.STATEMENT, row))
            return np.array([self._hash(domain.encode()) for domain in listed], np.uint64)

        for row in np.flatnonzero(columns[names.SYSTEM] == self._mail).tolist():
            statement = int(columns[names.STATEMENT][row])
            some = self._domains.get(statement, lambda row=row: domains(row))
            found[row], has_domains[row] = some, some.shape[0] > 0
        return found, has_domains

    def _where(
        self, columns: Mapping[str, NDArray[Any]], text: Callable[[str, int], str]
    ) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int8], NDArray[np.uint64]]:
        """Return where each call goes: whether on the machine, the class with and without its peer, and the key."""
        read = names.TRANSPORT, names.PEER_ADDRESS, names.SERVER_ADDRESS
        one, two, three = (columns[name] for name in read)
        together = (one * FACTORS[0]) ^ (two * FACTORS[1]) ^ (three * FACTORS[2]) | np.uint64(1)

        def describe(row: int) -> int:
            transport, peer, address = (text(name, row) for name in read)
            named = classify_host(address)
            local = stays_local(transport, peer, address, judge_loopback=self._judge_loopback)
            return max(named, classify_host(peer)) << 8 | named << 1 | local

        def hash_destination(row: int) -> int:
            key = destination_key(text(names.SERVER_ADDRESS, row))
            return self._hash(key.encode()) if key else 0

        found = self._places.of(together, describe)
        key = self._destinations.of(three, hash_destination, 0).view(np.uint64)
        return (
            (found & 1).astype(np.int8), (found >> 8).astype(np.int8), (found >> 1 & 127).astype(np.int8), key,
        )  # fmt: skip

    def _read(
        self,
        made: str,
        name: str,
        columns: Mapping[str, NDArray[Any]],
        text: Callable[[str, int], str],
        read: Callable[[str], int],
        absent: int,
    ) -> NDArray[Any]:
        found = self._known[made].of(columns[name], lambda row: read(text(name, row)), absent)
        return found if absent else found.view(np.uint64)
