"""The profile of an app: what it may do, in one reviewed document. What stands in YAML is read and written beside it.

Every scalar is taken as the text that stands there: to YAML, version 16.10 would be the number 16.1.
"""

import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final, cast

from backwatch.collector import facts, names

FORMAT: Final = "1"
LARGEST: Final = 1 << 20
"""Bytes of a document."""
MAX_ITEMS: Final = 100
"""Resources of a document, exceptions of it, and values of one list."""
MAX_STATEMENTS: Final = 4_096
MAX_DESTINATIONS: Final = 1_024
"""Entries of these sections of a document."""
MAX_TEXT_CHARACTERS: Final = 500
"""Characters of a text: what evidence shows, and so what can be compared."""
MAX_STATEMENT_CHARACTERS: Final = 16_384
"""Characters of a statement, which is compared whole: as many as a canonical text can have."""
WIDEST: Final = {4: 16, 6: 32}
"""Shortest prefix of a network, by IP version."""
TLS_LEVELS: Final = ("none", "encrypted", "chain", "full")
"""What a session may be at least: plaintext, encrypted, verified against an authority, verified with its name."""

_HEX: Final = re.compile(r"(?:sha256[:/ ])?([0-9a-f]{64})")
_NODE: Final = re.compile(r"[^\s,]+:\d{1,5}")
_HOST: Final = re.compile(r"[^\s/?#@:,\[\]]+|\[[0-9a-f:.]+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """The expected values of one resource.

    Attributes:
        resource: As alerts and the dashboard show it, or the name that a span reports.
        values: By the document's words (see ``KINDS``), in the form in which evidence shows them.
    """

    resource: str
    reason: str = ""
    values: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        reason = {"reason": self.reason} if self.reason else {}
        return {"resource": self.resource, **reason, **{kind: list(some) for kind, some in self.values.items()}}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ResourceEntry:
    """The sessions of one resource.

    Attributes:
        resource: As alerts show it.
        tls: The least of its sessions, one of ``TLS_LEVELS``; empty: not reported.
        tls_versions, certificates, issuers, accounts: Values that its sessions showed, sorted.
    """

    resource: str
    tls: str = ""
    tls_versions: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    issuers: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class VolumeEntry:
    """The most that a resource had within a minute; -1: not known."""

    resource: str
    calls: int = -1
    rows_returned: int = -1
    bytes_sent: int = -1
    bytes_received: int = -1


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DestinationEntry:
    """A host to which a place in the app's code talks.

    Attributes:
        site: File and function, ``shop/pay.py:charge``; else ``route:/pay``; empty: any place.
        destination: ``host:port`` as the app asks for it, or the resource's own name.
        by, reason: Who approved it, and why; empty where it was learnt.
    """

    site: str = ""
    destination: str
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class StatementEntry:
    """A statement that a place in the app's code sends to databases.

    Attributes:
        statement: Its canonical text, whole: exactly this one is approved, with any values.
        example: The statement as the app wrote it, redacted and shortened; empty where it is the same.
        site, by, reason: As in :class:`DestinationEntry`.
    """

    site: str = ""
    statement: str
    example: str = ""
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ExceptionEntry:
    """A statement or a destination that is approved until a day ends (UTC). One of the two is empty."""

    site: str = ""
    statement: str = ""
    destination: str = ""
    until: str
    reason: str
    by: str = ""

    @property
    def until_ns(self) -> int:
        """End of the day, in nanoseconds since 1970."""
        day = date.fromisoformat(self.until)
        return (int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) + 86_400) * 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A document.

    Attributes:
        app: As alerts and the dashboard show it.
    """

    app: str
    announced: Sequence[Announced] = ()
    resources: Sequence[ResourceEntry] = ()
    volume: Sequence[VolumeEntry] = ()
    destinations: Sequence[DestinationEntry] = ()
    statements: Sequence[StatementEntry] = ()
    exceptions: Sequence[ExceptionEntry] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON takes it: sections that hold nothing are left out."""
        sections = {name: [plain_entry(entry) for entry in sorted(getattr(self, name))] for name in SECTIONS}
        return {
            "app": self.app, "announced": [resource.plain() for resource in self.announced],
            **{name: entries for name, entries in sections.items() if entries},
        }  # fmt: skip

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, regardless of spacing and comments."""
        return hashlib.sha256(json.dumps(self.plain(), sort_keys=True).encode()).hexdigest()


Entry = ResourceEntry | VolumeEntry | DestinationEntry | StatementEntry | ExceptionEntry
SECTIONS: Final[Mapping[str, type[Entry]]] = {
    "resources": ResourceEntry, "volume": VolumeEntry, "destinations": DestinationEntry,
    "statements": StatementEntry, "exceptions": ExceptionEntry,
}  # fmt: skip
"""Learnt and approved sections, in the order of the document."""
IDENTITY: Final[Mapping[str, tuple[str, ...]]] = {
    "resources": ("resource",), "volume": ("resource",), "destinations": ("site", "destination"),
    "statements": ("site", "statement"), "exceptions": ("site", "statement", "destination"),
}  # fmt: skip
"""Fields of which no two entries of a section may agree in all."""


def identify(section: str, entry: Entry) -> tuple[str, ...]:
    """Return what distinguishes an entry from the others of its section."""
    return tuple(getattr(entry, name) for name in IDENTITY[section])


def plain_entry(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON takes it, without fields that hold nothing."""
    fields = ((name, getattr(entry, name)) for name in entry.__dataclass_fields__)
    return {
        name: list(value) if isinstance(value, tuple) else value  # pyright: ignore[reportUnknownArgumentType]
        for name, value in fields
        if value not in ("", (), -1)
    }


def read_plain(plain: Mapping[str, Any]) -> Profile:
    """Return the profile of what :meth:`Profile.plain` returned, without what it announces."""
    sections: dict[str, Any] = {
        section: tuple(
            cast("Any", kind)(
                **{name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
            )
            for entry in plain.get(section, ())
        )
        for section, kind in SECTIONS.items()
    }
    return Profile(app=str(plain.get("app", "")), **sections)


def certificate(text: str) -> str:
    """A SHA-256 fingerprint as evidence shows it.

    >>> certificate("AB:" * 31 + "AB") == "ab" * 32
    True
    """
    found = _HEX.fullmatch(text.lower().replace(":", "").removeprefix("sha256").strip())
    if found is None:
        raise ValueError("must be a SHA-256 fingerprint, 64 hexadecimal digits")
    return found[1]


def peer(text: str) -> str:
    """An address or a network in its usual form.

    >>> peer("10.0.3.7"), peer("10.0.3.0/24"), peer("FD00::1")
    ('10.0.3.7', '10.0.3.0/24', 'fd00::1')
    """
    try:
        if "/" not in text:
            return str(ipaddress.ip_address(text))
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("must be a numeric address, or a network such as 10.0.3.0/24 without bits beyond it") from None
    if network.prefixlen < WIDEST[network.version]:
        raise ValueError(f"is too wide a network to know anybody by: at least /{WIDEST[network.version]}")
    return str(network)


def node(text: str) -> str:
    """A node as ``backwatch.topology`` names it."""
    if _NODE.fullmatch(text) is None:
        raise ValueError("must be host:port")
    return text.lower()


def host(text: str) -> str:
    """A host to which a service may redirect."""
    if _HOST.fullmatch(text.lower()) is None:
        raise ValueError("must be a host, without scheme, port and path; an IPv6 address in brackets")
    return text.lower()


_FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    names.CERT_SHA256: certificate, names.PEER_ADDRESS: peer, names.TOPOLOGY: node, names.REDIRECT_TARGET: host,
}  # fmt: skip
KINDS: Final[Mapping[str, tuple[str, Callable[[str], str]]]] = {
    key: (name, _FORMS.get(name, str)) for key, name in facts.PROFILED.items()
}
"""The document's word for what can be announced: the fact that shows it, and the form in which it does."""


def read_announced(plain: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Return what a stored profile announces: resource to fact to values.

    >>> read_announced([{"resource": "postgresql db:5432/shop", "reason": "moved", "peers": ["10.0.3.7"]}])
    {'postgresql db:5432/shop': {'network.peer.address': ['10.0.3.7']}}
    """
    return {
        str(resource["resource"]): {
            fact: [str(text) for text in cast("Sequence[Any]", resource[kind])]
            for kind, (fact, _) in KINDS.items()
            if resource.get(kind)
        }
        for resource in plain
    }
