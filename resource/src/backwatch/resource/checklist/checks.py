"""The checklist of one resource."""

import contextlib
import datetime as dt
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from backwatch.resource import addresses
from backwatch.resource.checklist.certificates import TlsFacts, read_tls_facts
from backwatch.resource.checklist.support import find_end
from backwatch.resource.checks import ENFORCE
from backwatch.resource.errors import DriverMissing, ResourceError, ResourceUnsafe
from backwatch.resource.inspections import Account, Inspection, Link
from backwatch.resource.opening import Attachment, choose_fix
from backwatch.resource.plain_text import shorten
from backwatch.resource.resource import Resource
from backwatch.resource.systems import Driver
from backwatch.resource.tls import describe_error

OK: Final = "ok"
FAULT: Final = "fault"
UNKNOWN: Final = "unknown"
LEVELS: Final = ("low", "medium", "high", "critical")
SOON_DAYS: Final = 14
WEAK_PASSWORDS: Final = frozenset({
    "", "password", "passwort", "secret", "changeme", "change-me", "admin", "root", "postgres", "mysql", "redis",
    "guest", "test", "123456", "12345678", "1234", "foobared", "minioadmin", "rabbitmq", "default", "toor", "qwerty",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of the checklist.

    Attributes:
        resource: Name of the config variable.
        check: What was checked.
        status: ``ok``, ``fault`` or ``unknown``.
        level: Of a fault: ``low``, ``medium``, ``high`` or ``critical``; else empty.
        seen: What was seen.
        fix: What to do; empty unless it is a fault.
    """

    resource: str
    check: str
    status: str
    seen: str
    level: str = ""
    fix: str = ""


def inspect(attachment: Attachment, driver: Driver | None, inspection: Inspection) -> list[Item]:
    """Ask one service.

    Args:
        attachment: URL and policy.
        driver: Client library; ``None``: none is installed, so there is no login.
        inspection: How to ask before a login.
    """
    return list(_Checklist(attachment, driver, inspection).run())


class _Checklist:
    def __init__(self, attachment: Attachment, driver: Driver | None, inspection: Inspection) -> None:
        self._attachment = attachment
        self._driver = driver
        self._inspection = inspection
        self._url = attachment.url
        self._port = attachment.url.port(attachment.default_port)
        self._tls: TlsFacts | None = None
        self._is_open = False

    def run(self) -> Iterator[Item]:
        yield from self._check_password()
        if not self._url.host or self._url.host.startswith("/"):
            yield self._unknown("reachable", "a Unix socket: nothing to see on the network")
            yield from self._check_login()
            return
        if self._url.driver == "srv":
            yield self._unknown("reachable", "the hosts stand in DNS, not in the URL: look at one of them")
            return
        yield from self._check_addresses()
        try:
            with Link(self._url.host, self._port):
                pass
        except (OSError, UnicodeError) as error:
            seen = error.strerror if isinstance(error, OSError) and error.strerror else error
            yield self._fault(
                "reachable", "high", f"{self._url.host}:{self._port}: {seen}", "Start the service, or correct the URL"
            )
            return
        yield self._ok("reachable", f"{self._url.host}:{self._port} accepts connections")
        yield from self._check_tls()
        yield from self._check_plaintext()
        yield from self._check_open()
        yield from self._check_login()

    def _ok(self, check: str, seen: str) -> Item:
        return Item(resource=self._attachment.name, check=check, status=OK, seen=shorten(seen))

    def _unknown(self, check: str, seen: str) -> Item:
        return Item(resource=self._attachment.name, check=check, status=UNKNOWN, seen=shorten(seen))

    def _fault(self, check: str, level: str, seen: str, fix: str) -> Item:
        """Return a fault; one's own machine is no network, so what only a network makes dangerous is low there."""
        return Item(resource=self._attachment.name, check=check, status=FAULT, level=level, seen=shorten(seen), fix=fix)

    def _on_network(self, level: str) -> str:
        attachment = self._attachment
        return level if not attachment.own_machine or attachment.policy.text("tls_on_loopback") == "required" else "low"

    def _connect(self) -> Link:
        """Return a connection on which TLS may begin."""
        link = Link(self._url.host, self._port)
        try:
            if not self._inspection.start_tls(link):
                raise ConnectionError("the service refuses TLS")
        except BaseException:
            link.__exit__()
            raise
        return link

    def _check_password(self) -> Iterator[Item]:
        user, password = self._url.user, self._url.password
        if user is None and password is None:
            return
        if not password:
            yield self._fault("password", "high", "the URL holds no password", "Give the account a long random one")
        elif password.lower() in WEAK_PASSWORDS or password == user:
            yield self._fault(
                "password", "critical", "the password is a well-known one or the account's name",
                "Give the account a long random one",
            )  # fmt: skip
        elif len(password) < 12:
            yield self._fault("password", "medium", "the password has fewer than 12 characters", "Use a longer one")
        else:
            yield self._ok("password", "neither empty nor well known")

    def _check_addresses(self) -> Iterator[Item]:
        try:
            places = [
                place for host, port in self._url.endpoints(self._port) for place in addresses.resolve(host, port)
            ]
        except (OSError, UnicodeError):
            yield self._unknown("address", f"{self._url.host} does not resolve")
            return
        attachment = self._attachment
        fault = addresses.find_fault(places, attachment.policy.text("addresses"), own_machine=attachment.own_machine)
        kinds = sorted({addresses.classify(place.address) for place in places})
        if fault:
            yield self._fault("address", "critical", fault, "Correct the name's DNS entry or the URL")
        elif "public" in kinds and not self._inspection.is_public:
            public = next(place for place in places if addresses.classify(place.address) == "public")
            yield self._fault(
                "address", "medium", f"the service stands on the public net: {public.address}",
                "Move it to a private network, or let only the app's addresses reach it",
            )  # fmt: skip
        else:
            yield self._ok("address", ", ".join(kinds))

    def _check_tls(self) -> Iterator[Item]:
        try:
            facts = self._tls = read_tls_facts(self._connect, self._attachment)
        except (OSError, ResourceError, ValueError, IndexError) as error:
            yield self._fault(
                "encrypted", self._on_network("high"), f"no TLS: {describe_error(error) or shorten(str(error))}",
                "Switch TLS on at the service, and use its TLS port in the URL",
            )  # fmt: skip
            return
        yield self._ok("encrypted", f"TLS {facts.version}")
        if facts.fault:
            yield self._fault("verified", self._on_network("high"), facts.fault, choose_fix(facts.fault))
        else:
            yield self._ok("verified", "chain and name")
        yield from self._check_days(facts.days_left)
        if facts.version < self._attachment.policy.text("tls_min"):
            yield self._fault("tls-version", "medium", f"the newest version is {facts.version}", "Update the service")
        elif facts.old:
            yield self._fault(
                "tls-version", "medium", f"still speaks TLS {' and '.join(facts.old)}",
                "Set the service's lowest version to 1.2",
            )  # fmt: skip
        else:
            yield self._ok("tls-version", "none below 1.2")

    def _check_days(self, days: float | None) -> Iterator[Item]:
        if days is None:
            yield self._unknown("certificate", "its dates could not be read")
        elif days < 0:
            yield self._fault("certificate", "high", "the certificate has expired", "Renew it")
        elif days < SOON_DAYS:
            yield self._fault("certificate", "medium", f"ends in {days:.0f} days", "Renew it, by a machine if possible")
        else:
            yield self._ok("certificate", f"{days:.0f} days left")

    def _check_plaintext(self) -> Iterator[Item]:
        ports = [self._port]
        beside = self._inspection.plaintext_port
        if self._url.scheme in self._inspection.tls_schemes and beside not in (0, self._port):
            ports += [] if self._attachment.own_machine else [beside]
        for port in ports:
            answered = self._ask(self._inspection.accepts_plaintext, port)
            if answered:
                where = "" if port == self._port else f" on port {port}"
                yield self._fault(
                    "plaintext", self._on_network("high" if self._tls is None else "medium"), answered + where,
                    "Let the service refuse sessions without TLS",
                )  # fmt: skip
                return
        yield self._ok("plaintext", "refused")

    def _check_open(self) -> Iterator[Item]:
        answered = self._ask(self._inspection.needs_no_login, self._port, tls=self._tls is not None)
        self._is_open = bool(answered)
        if answered:
            level = "high" if self._url.scheme.startswith("memcached") else "critical"
            yield self._fault("login", self._on_network(level), answered, "Let the service ask for a login")
        else:
            yield self._ok("login", "required, as far as it can be seen")

    def _ask(self, question: Callable[..., str], port: int, *, tls: bool = False) -> str:
        """Return what an inspection sees on a connection of its own; nothing if the service hangs up."""
        with contextlib.suppress(OSError, ValueError, IndexError, ArithmeticError):
            link = self._connect() if tls else Link(self._url.host, port)
            with link:
                if tls:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                    link.socket = context.wrap_socket(link.socket, server_hostname=self._url.host)
                return question(link, self._url)
        return ""

    def _check_login(self) -> Iterator[Item]:
        near = self._attachment.own_machine and self._attachment.policy.text("tls_on_loopback") != "required"
        safe = near or (self._tls is not None and not self._tls.fault)
        if self._driver is None:
            yield self._unknown("account", "no client library is installed, so no login was tried")
            return
        if not safe:
            yield self._unknown("account", "no login was tried: the password would go over an unverified session")
            return
        try:
            account = self._inspection.read_account(Resource(secure_login(self._attachment), self._driver))
        except (ResourceUnsafe, DriverMissing) as error:
            yield self._unknown("account", f"no login was tried: {shorten(str(error))}")
        except Exception as error:  # noqa: BLE001  whatever a client library raises
            yield self._unknown("account", f"the login failed: {type(error).__name__}")
        else:
            yield from self._check_account(account)
        yield from self._check_default_logins(self._driver)

    def _check_account(self, account: Account) -> Iterator[Item]:
        name = shorten(account.name, 60) or "the account"
        if account.powers:
            yield self._fault(
                "account", "high", f"{name} holds {', '.join(account.powers)}",
                "Give the app an account of its own; backwatch audit writes the grants it needs",
            )  # fmt: skip
        elif account.name:
            yield self._ok("account", f"{name} holds no administrative power")
        if account.password_free:
            yield self._fault("password", "critical", f"{name} needs no password", "Give the account a long random one")
        if not account.version:
            return
        product = "valkey" if self._url.scheme.startswith("valkey") else self._driver.system if self._driver else ""
        ended = find_end(product, account.version, dt.datetime.now(dt.UTC).date())
        version = shorten(account.version, 60)
        if ended:
            when = "ended" if ended == "earlier" else f"ended on {ended}"
            yield self._fault("version", "medium", f"{version}: its support {when}", "Move to a supported version")
        else:
            yield self._ok("version", version)

    def _check_default_logins(self, driver: Driver) -> Iterator[Item]:
        """Try well-known passwords, each once."""
        known = self._inspection.default_logins if not self._is_open else ()  # an open one lets any password in
        logins = [(user, password) for user, password in known if password != self._url.password]
        opened: list[str] = []
        for user, password in logins:
            url = replace(self._url, user=user, password=password)
            attachment = replace(secure_login(self._attachment), url=url)
            with contextlib.suppress(Exception):
                if self._inspection.read_account(Resource(attachment, driver)):
                    opened.append(user)
                    break
        if opened:
            yield self._fault(
                "default-password", "critical", f"the account {opened[0]} opens with a well-known password",
                "Change that password, or drop the account",
            )  # fmt: skip
        elif logins:
            yield self._ok("default-password", f"{len(logins)} well-known ones were refused")


def secure_login(attachment: Attachment) -> Attachment:
    """Return an attachment that sends a password over verified TLS alone, whatever the app's own policy allows."""
    strict = {"mode": ENFORCE, "tls": "verify-full"}
    return replace(attachment, policy=replace(attachment.policy, values={**attachment.policy.values, **strict}))


def count_faults(items: Sequence[Item], from_level: str) -> int:
    """Return how many faults have this level or a higher one."""
    place = LEVELS.index(from_level)
    return sum(item.status == FAULT and LEVELS.index(item.level) >= place for item in items)
