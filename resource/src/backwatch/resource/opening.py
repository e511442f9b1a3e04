"""One opening of a resource: the checks before it, the driver's part, and the checks on what was opened."""

import contextlib
import ipaddress
import logging
import os
import re
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from backwatch.resource import addresses, tls
from backwatch.resource.addresses import Place
from backwatch.resource.checks import WARN
from backwatch.resource.errors import ResourceUnsafe, walk_causes
from backwatch.resource.plain_text import shorten
from backwatch.resource.policy import Policy
from backwatch.resource.url import ServiceUrl

MAX_FINDINGS: Final = 100
VERSION: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,5}", re.ASCII)
TLS_FIX: Final = (
    "Give the service TLS with a certificate of a known authority for this host, or name its authority in ca"
)

logger = logging.getLogger("backwatch.resource")


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation that was not refused, because the mode is warn or observe.

    Attributes:
        check: Setting of the policy.
        seen: What was seen.
        fix: What to do.
    """

    check: str
    seen: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a driver shows of an opened connection.

    Attributes:
        tls: Whether it is encrypted; ``None``: the driver cannot say.
        version: TLS version, ``1.3``; empty if unknown.
        certificate: The server's certificate in DER; ``None`` if unknown.
        verified: ``full``, ``chain`` or ``none``; empty if unknown.
        address: The peer's numeric address; empty for a Unix socket or if unknown.
        server_version: As the server announces it; empty if it hides it, ``None`` if it is judged elsewhere.
    """

    tls: bool | None = None
    version: str = ""
    certificate: bytes | None = None
    verified: str = ""
    address: str = ""
    server_version: str | None = None


@dataclass(slots=True, kw_only=True)
class Attachment:
    """What a driver's file gets: the URL, the policy, and how to refuse.

    Attributes:
        name: Name given to ``attach``.
        url: Of the service.
        policy: Its settings.
        default_port: Of its protocol.
        findings: The newest violations that were not refused.
    """

    name: str
    url: ServiceUrl
    policy: Policy
    default_port: int
    findings: deque[Finding] = field(default_factory=lambda: deque[Finding](maxlen=MAX_FINDINGS))

    def refuse(self, check: str, seen: str, fix: str) -> None:
        """Report a violation: raise it, log it or keep it, by the mode.

        Raises:
            ResourceUnsafe: The mode is enforce.
        """
        seen = shorten(seen)
        fix = choose_fix(seen) if fix == TLS_FIX else fix
        if self.policy.enforced:
            raise ResourceUnsafe(self.name, check, seen, fix)
        self.findings.append(Finding(check, seen, fix))
        if self.policy.text("mode") == WARN:
            logger.warning("%s: %s: %s. %s", self.name, check, seen, fix)

    @property
    def own_machine(self) -> bool:
        """Whether the URL names loopback or a Unix socket alone."""
        return all(not host or host.startswith("/") or addresses.is_loopback_name(host) for host, _ in self.url.hosts)

    @property
    def needs_tls(self) -> bool:
        """Whether a session without TLS violates the policy."""
        if self.policy.text("tls") == "off":
            return False
        return not self.own_machine or self.policy.text("tls_on_loopback") == "required"

    @property
    def verifies(self) -> bool:
        """Whether the certificate's chain must be verified."""
        return self.needs_tls and self.policy.text("tls") in ("verify-full", "verify-ca")

    @property
    def verifies_name(self) -> bool:
        """Whether the certificate's name must be verified."""
        return self.needs_tls and self.policy.text("tls") == "verify-full"

    @property
    def allowed_hosts(self) -> Sequence[str]:
        """Hosts to which this resource may lead: those of the policy, else those of the URL."""
        return self.policy.texts("hosts") or [host for host, _ in self.url.hosts]

    def check_host(self, host: str, what: str = "the config variable names the host", port: int | None = None) -> None:
        """Refuse a host that is none of this resource's.

        Args:
            host: Name or address.
            what: Who leads there: begins the message.
            port: TCP port; ``None``: unknown.
        """
        if not addresses.is_allowed_host(host, self.allowed_hosts, port):
            self.refuse(
                "hosts", f"{what} {shorten(host, 80)}" + (f", port {port}" if port else ""),
                f"If it is meant, add it to hosts (now {', '.join(self.allowed_hosts) or 'none'})",
            )  # fmt: skip

    def check_endpoint(self, host: str, port: int, what: str) -> None:
        """Refuse a host and port to which a topology or a redirect leads.

        Without ``hosts``, only those of the URL itself are allowed: another port is another service. An entry of
        ``hosts`` without port allows every port.

        Args:
            host: Name or address.
            port: TCP port.
            what: Who leads there: begins the message.
        """
        if self.policy.texts("hosts"):
            self.check_host(host, what, port)
            return
        named = [(addresses.normalize(each), at) for each, at in self.url.endpoints(self.default_port)]
        if (addresses.normalize(host), port) not in named:
            self.refuse(
                "hosts", f"{what} {shorten(host, 80)}, port {port}",
                "If it is meant, name all hosts of the service in hosts, or in the URL",
            )  # fmt: skip

    def check_places(self) -> list[Place]:
        """Judge each host of the URL and its addresses.

        Returns:
            Host and address of each, for drivers that connect to an address and verify a name. A host that does not
            resolve is left to the driver.
        """
        places: list[Place] = []
        for host, port in self.url.endpoints(self.default_port):
            if not host or host.startswith("/"):
                continue
            self.check_host(host, port=port)
            with contextlib.suppress(socket.gaierror):
                places += self.check_address(host, port)
        return places

    def check_address(self, host: str, port: int) -> list[Place]:
        """Judge a host's addresses, and return them.

        Raises:
            ResourceUnsafe: It leads where it must not.
            OSError: It does not resolve.
        """
        if host.lower().rstrip(".") in addresses.METADATA_NAMES:
            self.refuse("addresses", f"{host} names a cloud's metadata service", "Name the service itself")
        found = addresses.resolve(host, port)
        self._judge(found)
        return found

    def _judge(self, places: Sequence[Place]) -> None:
        fault = addresses.find_fault(places, self.policy.text("addresses"), own_machine=self.own_machine)
        if fault:
            self.refuse("addresses", fault, "Correct the name's DNS entry, or set addresses if it is meant")

    @property
    def password_in_clear(self) -> bool:
        """Whether a password would leave this machine unencrypted, on a protocol that sends it as it is."""
        return self.policy.text("tls") == "off" and not self.own_machine and self.url.password is not None

    def check_password(self) -> None:
        """Refuse a URL whose password would be sent in clear, unless ``auth`` is any."""
        if self.password_in_clear and self.policy.text("auth") != "any":
            self.refuse("auth", "the password would be sent in plaintext, for tls is off", TLS_FIX)

    def check_peer(self, host: str, address: str, port: int) -> None:
        """Judge the address of a connected socket, or one that a redirect leads to."""
        try:
            place = Place(host, ipaddress.ip_address(address.partition("%")[0]), port)
        except ValueError:
            return
        self._judge([place])

    def check_session(self, session: Session, address: str = "") -> None:
        """Judge what was opened.

        Args:
            session: What the driver shows.
            address: The peer's, if the session does not hold it.
        """
        policy = self.policy
        if session.server_version is not None:
            self.check_version(session.server_version)
        if address := address or session.address:
            self.check_peer(self.url.host, address, self.url.port(self.default_port))
        if not self.needs_tls:
            return
        if session.tls is False:
            self.refuse("tls", "the session is in plaintext", TLS_FIX)
        if session.tls and session.version and session.version < policy.text("tls_min"):
            self.refuse("tls_min", f"the session uses TLS {session.version}", "Let the service speak a newer version")
        if session.tls and (
            (self.verifies and session.verified == "none") or (self.verifies_name and session.verified == "chain")
        ):
            self.refuse("tls", f"the certificate is not verified (verified: {session.verified})", TLS_FIX)
        pins = policy.texts("pin")
        shown = "that cannot be read" if session.certificate is None else tls.fingerprint(session.certificate)
        if pins and session.tls and shown not in pins:
            self.refuse(
                "pin", f"the certificate has a fingerprint {shown}",
                "If the certificate was renewed, add its fingerprint to pin",
            )  # fmt: skip

    def check_version(self, announced: str) -> None:
        """Refuse a server that is older than ``min_version``."""
        least = self.policy.text("min_version")
        if least and read_version(announced) < read_version(least):
            self.refuse(
                "min_version", f"the server announces version {shorten(announced, 60) or 'none'}, below {least}",
                "Update the server, or find out who answers in its place",
            )  # fmt: skip

    def raise_refusal(self, error: BaseException) -> None:
        """Raise the refusal that a driver wrapped in an error of its own; otherwise return.

        For errors of open sessions: there, a broken TLS stream is a lost connection like any other.
        """
        for cause in walk_causes(error):
            if isinstance(cause, ResourceUnsafe):
                raise cause from None

    def refuse_error(self, error: BaseException) -> None:
        """Turn a driver's error into a violation if a check caused it; otherwise return.

        Raises:
            ResourceUnsafe: A check refused inside the driver, or TLS failed, and the mode is enforce.
        """
        self.raise_refusal(error)
        seen = tls.describe_error(error)
        if seen and self.policy.enforced:
            raise ResourceUnsafe(self.name, tls.name_check(error), seen, choose_fix(seen)) from error

    def refuse_option(self, options: dict[str, Any], controlled: Sequence[str], check: str) -> None:
        """Refuse options of the caller that the policy decides on."""
        for option in controlled:
            if option in options:
                self.refuse(
                    check, f"the option {option} was given to the driver",
                    f"Leave it out: {check} of this resource decides; change it there",
                )  # fmt: skip


def choose_fix(seen: str) -> str:
    """Return what to do about a certificate, by what was seen of it."""
    lowered = seen.lower()
    if "expired" in lowered:
        return "Renew the service's certificate"
    if "not yet valid" in lowered:
        return "Compare the clocks, or wait until the service's certificate begins"
    if "mismatch" in lowered or "does not match" in lowered or "not valid for" in lowered:
        return "Use a name in the URL that the service's certificate holds, or give it one for this host"
    if lowered.endswith("certificate verify failed"):  # libpq and some others give no reason
        return f"Run backwatch check, which names the reason. {TLS_FIX}"
    return TLS_FIX


def read_version(text: str) -> list[int]:
    """Return the numbers at the begin of a version; none: it has no number.

    >>> read_version("15.10 (Debian)") < read_version("16"), read_version("8.0.36-log")
    (True, [8, 0, 36])
    """
    found = VERSION.match(text[:100])
    return [int(part) for part in found[0].split(".")] if found else []


def read_tls(connection: Any, *, verified: str = "") -> Session:
    """Return what an ``ssl.SSLSocket`` or ``ssl.SSLObject`` shows.

    Args:
        connection: The socket or object.
        verified: Where the library verifies names itself: what it verified.
    """
    context = connection.context
    if not verified:
        verified = "none" if context.verify_mode == ssl.CERT_NONE else "full" if context.check_hostname else "chain"
    return Session(
        tls=True, version=(connection.version() or "").removeprefix("TLSv"), verified=verified,
        certificate=connection.getpeercert(True),  # by place: an SSLSocket's own object takes no name
    )  # fmt: skip


def read_peer(descriptor: int) -> str:
    """Return the numeric address of a connected socket; empty for a Unix socket or if there is none."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connected:
            peer: object = connected.getpeername()
    except OSError:
        return ""
    return str(cast("tuple[Any, ...]", peer)[0]) if isinstance(peer, tuple) else ""
