"""The URL in a config variable: what to attach, with the resource's own settings taken out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from backwatch.resource.errors import ResourceMisconfigured
from backwatch.resource.plain_text import shorten
from backwatch.resource.policy import URL_PREFIX

MAX_URL_CHARACTERS: Final = 8192
MAX_HOSTS: Final = 50
WEB_SCHEMES: Final = ("http", "https")
"""Where an @ is usual in paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUrl:
    """A service's URL in its parts.

    Attributes:
        scheme: In lower case, ``postgresql`` of ``postgresql+asyncpg``.
        driver: Client library that the scheme names after ``+``; empty if none.
        user, password: Decoded; ``None`` where the URL has none.
        hosts: Host and port of each server, in order; port ``None`` where the URL has none. No host: a Unix socket or
            a default of the driver.
        path: Decoded, without the first slash: the database, the virtual host, the bucket.
        query: The driver's own parameters.
        settings: Settings of the resource that the URL holds (``backwatch.tls=…``), without prefix.
    """

    scheme: str
    driver: str = ""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    hosts: tuple[tuple[str, int | None], ...] = ()
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    settings: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def host(self) -> str:
        """The first host; empty if there is none."""
        return self.hosts[0][0] if self.hosts else ""

    def port(self, default: int) -> int:
        """Return the first host's port."""
        return (self.hosts[0][1] if self.hosts else None) or default

    def endpoints(self, default_port: int) -> list[tuple[str, int]]:
        """Return all hosts with their ports."""
        return [(host, port or default_port) for host, port in self.hosts]

    def addresses(self, default_port: int) -> list[str]:
        """Return all hosts with their ports as ``host:port``, addresses of IPv6 in brackets."""
        return [_join(host, port) for host, port in self.endpoints(default_port)]

    def without_secret(self) -> str:
        """Return the URL as messages show it: no password and no parameters."""
        hosts = ",".join(_join(host, port) for host, port in self.hosts)
        user = f"{quote(self.user)}@" if self.user else ""
        return shorten(f"{self.scheme}://{user}{hosts}/{quote(self.path)}")

    def rebuild(
        self, *, scheme: str | None = None, query: Mapping[str, str] | None = None, first_host: bool = False
    ) -> str:
        """Return a URL with password for a driver that takes one; with other scheme or parameters if given."""
        user = "" if self.user is None else quote(self.user, safe="")
        password = "" if self.password is None else ":" + quote(self.password, safe="")
        login = f"{user}{password}@" if user or password else ""
        parameters = self.query if query is None else query
        end = f"?{urlencode(parameters)}" if parameters else ""
        hosts = ",".join(_join(host, port) for host, port in (self.hosts[:1] if first_host else self.hosts))
        return f"{scheme or self.scheme}://{login}{hosts}/{quote(self.path)}{end}"

    def with_path(self, path: str) -> "ServiceUrl":
        """Return the same URL with another path."""
        return replace(self, path=path)


def _join(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host.replace("/", "%2F")
    return name if port is None else f"{name}:{port}"


def read_url(name: str, text: str) -> ServiceUrl:
    """Read the URL of a config variable.

    Args:
        name: Name of the variable, for messages.
        text: Its value; never shown, for it holds a password.

    Raises:
        ResourceMisconfigured: It is no URL of a service.
    """
    text = text.strip()
    if not text:
        raise ResourceMisconfigured(f"{name} is empty: it must hold the URL of a service")
    if len(text) > MAX_URL_CHARACTERS or not text.isprintable():
        raise ResourceMisconfigured(f"{name} is no URL: too long, or with control characters")
    try:
        parts = urlsplit(text)
        scheme, _, driver = parts.scheme.lower().partition("+")
        if not scheme or "://" not in text:
            raise ResourceMisconfigured(f"{name} is no URL: it must begin with a scheme such as postgresql://")
        _refuse_split_password(name, scheme, parts)
        login, at, servers = parts.netloc.rpartition("@")
        user, colon, password = login.partition(":")
        parameters = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=200)
        return ServiceUrl(
            scheme=scheme,
            driver=driver,
            user=unquote(user) if at and user else None,
            password=unquote(password) if colon else None,
            hosts=tuple(_read_hosts(servers)),
            path=unquote(parts.path.removeprefix("/")),
            query={key: value for key, value in parameters if not key.startswith(URL_PREFIX)},
            settings={key.removeprefix(URL_PREFIX): value for key, value in parameters if key.startswith(URL_PREFIX)},
        )
    except ValueError as error:
        if isinstance(error, ResourceMisconfigured):
            raise
        raise ResourceMisconfigured(f"{name} is no URL: host, port or parameters are malformed") from None


def _refuse_split_password(name: str, scheme: str, parts: SplitResult) -> None:
    """Refuse a URL whose password seems to end too early: its rest would be taken for a host, a path or a parameter."""
    names = (pair.partition("=")[0] for pair in parts.query.split("&"))
    has_login_behind = ("@" in parts.path and scheme not in WEB_SCHEMES) or any("@" in each for each in names)
    if parts.fragment or has_login_behind:
        raise ResourceMisconfigured(
            f"{name} is no URL: a #, / or ? in a password must be written %23, %2F or %3F, and an @ in a path %40"
        )


def _read_hosts(servers: str) -> list[tuple[str, int | None]]:
    found: list[tuple[str, int | None]] = []
    for server in servers.split(",")[: MAX_HOSTS + 1]:
        if not server:
            continue
        if server.startswith("["):
            host, bracket, rest = server[1:].partition("]")
            if not bracket or (rest and not rest.startswith(":")):
                raise ValueError
            port = rest.removeprefix(":")
        else:
            host, _, port = server.partition(":")
        if port and not 0 < int(port) < 65_536:
            raise ValueError
        found.append((unquote(host), int(port) if port else None))
    if len(found) > MAX_HOSTS:
        raise ValueError
    return found
