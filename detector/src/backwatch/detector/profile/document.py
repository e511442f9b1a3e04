"""The profile as a document: YAML, one per app. What is announced stands in it today; more sections may follow.

Every scalar is taken as the text that stands there: to YAML, version 16.10 would be the number 16.1.
"""

import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import yaml

from backwatch.collector import facts, names

FORMAT: Final = "1"
LARGEST: Final = 64 * 1024
"""Bytes of a document."""
MAX_ITEMS: Final = 100
"""Resources of a document, and values of one list."""
MAX_TEXT_CHARACTERS: Final = 500
"""Characters of a text: what evidence shows, and so what can be compared."""
FAULTS: Final = 20
"""Faults reported of one document."""
WIDEST: Final = {4: 16, 6: 32}
"""Shortest prefix of a network, by IP version."""

_HEX: Final = re.compile(r"(?:sha256[:/ ])?([0-9a-f]{64})")
_NODE: Final = re.compile(r"[^\s,]+:\d{1,5}")
_HOST: Final = re.compile(r"[^\s/?#@:,\[\]]+|\[[0-9a-f:.]+\]")


class NotAProfile(ValueError):
    """A document that is no profile.

    Attributes:
        faults: (line from 1, what is wrong), in the order of the document.
    """

    def __init__(self, faults: Sequence[tuple[int, str]]) -> None:
        super().__init__(f"line {faults[0][0]}: {faults[0][1]}")
        self.faults = tuple(faults)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A document.

    Attributes:
        app: As alerts and the dashboard show it.
    """

    app: str
    announced: Sequence[Announced] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"app": self.app, "announced": [resource.plain() for resource in self.announced]}

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, regardless of spacing and comments."""
        return hashlib.sha256(json.dumps(self.plain(), sort_keys=True).encode()).hexdigest()


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


def parse(text: str) -> Profile:
    """The profile that stands in a YAML document.

    Raises:
        NotAProfile: With every fault, each with its line.
    """
    if len(text.encode("utf-8", "replace")) > LARGEST:
        raise NotAProfile([(1, f"the document is larger than {LARGEST} bytes")])
    try:
        root: Any = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotAProfile([(mark.line + 1 if mark else 1, f"is no YAML: {error.problem or error.context}")]) from None
    except yaml.YAMLError as error:
        raise NotAProfile([(1, f"is no YAML: {str(error).splitlines()[0]}")]) from None
    except RecursionError:
        raise NotAProfile([(1, "is nested too deeply")]) from None
    reading = _Reading()
    found = reading.profile(root)
    if reading.faults or found is None:
        raise NotAProfile(sorted(reading.faults)[:FAULTS])
    return found


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


class _Reading:
    """Reads nodes of YAML, and notes what is wrong with them."""

    def __init__(self) -> None:
        self.faults: list[tuple[int, str]] = []

    def profile(self, root: Any) -> Profile | None:
        if not isinstance(root, yaml.MappingNode):
            self._fault(root, "must begin with profile: 1, and say app and announced")
            return None
        fields = dict(self._items(root, "", ("profile", "app", "announced")))
        for name in ("profile", "app"):
            if name not in fields:
                self._fault(root, f"{name} is missing" + (": profile: 1 gives the format" if name == "profile" else ""))
        if "profile" in fields and self._text(fields["profile"], "profile") not in ("", FORMAT):
            self._fault(fields["profile"], f"profile must be {FORMAT}: this Backwatch reads no other form")
        app = self._text(fields["app"], "app") if "app" in fields else ""
        found: list[Announced] = []
        for place, node in enumerate(self._list(fields["announced"], "announced") if "announced" in fields else ()):
            resource = self._read_announced(node, f"announced[{place}]")
            if resource is not None and resource.resource in {other.resource for other in found}:
                self._fault(node, f"announced[{place}].resource: {resource.resource!r} stands here twice")
            elif resource is not None:
                found.append(resource)
        return Profile(app=app, announced=tuple(found))

    def _read_announced(self, node: Any, where: str) -> Announced | None:
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"{where} must say resource, and what will come there")
            return None
        fields = dict(self._items(node, f"{where}.", ("resource", "reason", *KINDS)))
        if "resource" not in fields:
            self._fault(node, f"{where}.resource is missing")
            return None
        values: dict[str, list[str]] = {}
        for kind in (name for name in KINDS if name in fields):
            some = [self._value(kind, each, f"{where}.{kind}[{at}]") for at, each in self._each(fields, kind, where)]
            values[kind] = sorted(set(some) - {""})
        reason = self._text(fields["reason"], f"{where}.reason") if "reason" in fields else ""
        resource = self._text(fields["resource"], f"{where}.resource")
        return Announced(resource=resource, reason=reason, values={kind: some for kind, some in values.items() if some})

    def _each(self, fields: Mapping[str, Any], kind: str, where: str) -> Iterator[tuple[int, Any]]:
        return enumerate(self._list(fields[kind], f"{where}.{kind}"))

    def _value(self, kind: str, node: Any, where: str) -> str:
        text = self._text(node, where)
        try:
            return KINDS[kind][1](text) if text else ""
        except ValueError as error:
            self._fault(node, f"{where}: {text[:80]!r} {error}")
            return ""

    def _items(self, node: Any, where: str, known: Sequence[str]) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name not in known:
                self._fault(key, f"{where}{name[:80]!r} is not known here; known are {', '.join(known)}")
            elif name in seen:
                self._fault(key, f"{where}{name} stands here twice")
            else:
                seen.add(name)
                yield name, value

    def _list(self, node: Any, where: str) -> Sequence[Any]:
        if not isinstance(node, yaml.SequenceNode):
            self._fault(node, f"{where} must be a list")
            return ()
        if len(node.value) > MAX_ITEMS:
            self._fault(node, f"{where} has {len(node.value)} entries, at most {MAX_ITEMS} are taken")
        return node.value[:MAX_ITEMS]

    def _text(self, node: Any, where: str) -> str:
        """The scalar's text; empty where there is a fault."""
        text = node.value.strip() if isinstance(node, yaml.ScalarNode) else ""
        if not text:
            self._fault(node, f"{where} must be a text")
        elif len(text) > MAX_TEXT_CHARACTERS:
            self._fault(node, f"{where} has {len(text)} characters, at most {MAX_TEXT_CHARACTERS} are taken")
        elif not text.isprintable():
            self._fault(node, f"{where} must be one line of printable text")
        else:
            return text
        return ""

    def _fault(self, node: Any, what: str) -> None:
        line = node.start_mark.line + 1 if isinstance(node, yaml.Node) else 1
        self.faults.append((line, what))
