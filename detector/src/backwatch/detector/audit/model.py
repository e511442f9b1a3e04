"""The values of an audit: the account that is read, the calls that were seen, and what the comparison found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from backwatch.detector.audit.quoting import escape_line

MAX_PROOFS: Final = 3
"""Calls that are shown for one line of a script; further ones are counted."""

PowerLevel = Literal["critical", "high", "medium", "low"]


class AuditUnavailable(Exception):
    """The service cannot be read. The message is one line that names the setting, never a secret."""


class WrongTarget(ValueError):
    """A URL or an option that no audit can use. The message is one line and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The account that is audited, and the session that reads its rights.

    Attributes:
        scheme: Scheme of the URL in lower case, without a driver's name.
        user, password: Of the session; the password is never shown.
        namespace: Database, virtual host or bucket: the path of the URL.
        options: The query of the URL.
        account: The account to audit; the session's own if no other is named.
        timeout_s: Seconds for a connection, and again for each reply.
    """

    scheme: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    namespace: str
    options: Mapping[str, str]
    account: str
    timeout_s: float = 10.0

    @property
    def shown(self) -> str:
        """The address without user and password, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return escape_line(f"{self.scheme}://{host}:{self.port}/{self.namespace}")


@dataclass(frozen=True, slots=True)
class SeenCall:
    """Calls of one account with the same statement and outcome at one resource. All texts may be an attacker's."""

    app: str
    system: str
    address: str
    port: int
    namespace: str
    account: str
    operation: str
    statement: str
    destination: str
    signs: str
    place: str
    role: str = ""
    """Consumer group or the like, where the collector reports one."""


@dataclass(slots=True)
class Seen:
    """How often and when the same call was seen."""

    count: int = 0
    first_ns: int = 0
    last_ns: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One right on one object, as the service's own catalogue names both.

    Attributes:
        privilege: The right: ``SELECT``, ``+get``, ``write``.
        kind: Kind of object: ``table``, ``sequence``, ``command``.
        name: The object's name in its parts.
        source: Where the account has it from: ``itself``, ``role NAME``, ``owner``.
    """

    privilege: str
    kind: str
    name: tuple[str, ...] = ()
    source: str = "itself"

    @property
    def key(self) -> tuple[str, str, tuple[str, ...]]:
        """The right and its object, without its source."""
        return self.privilege, self.kind, self.name

    @property
    def shown(self) -> str:
        """The grant on one line."""
        name = ".".join(self.name)
        return escape_line(" ".join(part for part in (self.privilege, "on" if name else "", self.kind, name) if part))


@dataclass(frozen=True, slots=True, order=True)
class Power:
    """An administrative power that no app needs in its daily work.

    Attributes:
        name: The power, as the service names it.
        why: What an attacker does with it.
        source: Where the account has it from.
    """

    level: PowerLevel
    name: str
    why: str
    source: str = "itself"


@dataclass(frozen=True, slots=True)
class ScriptLine:
    """One line of the least-privilege script, with the calls that prove it."""

    text: str
    proofs: tuple[SeenCall, ...] = ()


@dataclass(slots=True, kw_only=True)
class Audit:
    """The result for one account.

    Attributes:
        comment: What begins a comment in the script's language.
        script: The script's lines, in the order in which they run.
        notes: What the reader has to know: names that could not be resolved, statements that need an owner.
    """

    system: str
    account: str
    server: str
    comment: str
    powers: list[Power] = field(default_factory=list[Power])
    unused: list[Grant] = field(default_factory=list[Grant])
    script: list[ScriptLine] = field(default_factory=list[ScriptLine])
    notes: list[str] = field(default_factory=list[str])

    @property
    def has_findings(self) -> bool:
        """Whether the account may do more than the app was seen to do."""
        return bool(self.powers or self.unused)


Calls = Mapping[SeenCall, Seen]
Json = dict[str, Any]
