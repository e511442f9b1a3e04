"""Access to the dashboard: this machine, users of an authenticating proxy, or everyone on purpose.

The dashboard has no login of its own. A proxy with one passes the user's name in a header; anyone could send that
header, so a request must also prove that it came through the proxy: by a secret that only the proxy knows, by the
proxy's address, or by both. What proves nothing is refused, on web sockets as well.
"""

import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from backwatch.collector.settings import DashboardSettings, SettingError
from backwatch.dashboard.middleware import PROBES, Application, Receive, Scope, Send, refuse

SECRET_HEADER: Final = b"x-backwatch-proxy-secret"
USER_HEADER: Final = b"x-backwatch-user"
"""Set here and nowhere else: what a request brings under this name is dropped. The pages read it."""
MIN_SECRET_CHARACTERS: Final = 16
MAX_USER_BYTES: Final = 200
REFUSAL: Final = (
    b"This dashboard answers only to its proxy, which logs users in: this request bears no valid proof of it.\n"
)
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_FORBIDDEN: Final = re.compile(rb"[\x00-\x1f\x7f]")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyLogin:
    """How a request proves that it came through the proxy.

    Attributes:
        user_header: Name of the header with the user, in lower case.
        secret: What the proxy sends in ``X-Backwatch-Proxy-Secret``; empty: nothing.
        networks: Where the proxy connects from; empty: anywhere.
    """

    user_header: bytes
    secret: bytes
    networks: Sequence[Network]

    def user_of(self, scope: Scope) -> bytes | None:
        """Return the authenticated user of a request; ``None``: it did not come through the proxy, or bears no name.

        A header that is there twice proves nothing: a proxy that adds its own leaves the attacker's in place.
        """
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        users = [value for name, value in headers if name.lower() == self.user_header]
        secrets = [value for name, value in headers if name.lower() == SECRET_HEADER]
        if self.secret and not (len(secrets) == 1 and hmac.compare_digest(secrets[0], self.secret)):
            return None
        if self.networks and not self._is_proxy(scope):
            return None
        user = users[0].strip() if len(users) == 1 else b""
        return user if 0 < len(user) <= MAX_USER_BYTES and not _FORBIDDEN.search(user) else None

    def _is_proxy(self, scope: Scope) -> bool:
        client = scope.get("client")
        try:
            address = ipaddress.ip_address(str(client[0]).partition("%")[0]) if client else None
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return address is not None and any(address in network for network in self.networks)


class LoginCheck:
    """ASGI middleware that lets in only what came through the proxy, and passes the user on to the pages.

    Args:
        app: The application behind it.
        login: How a request proves it; ``None``: every request may enter, and none has a user.
    """

    def __init__(self, app: Application, login: ProxyLogin | None) -> None:
        self._app = app
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in PROBES):
            await self._app(scope, receive, send)
            return
        user = self._login.user_of(scope) if self._login else b""
        if user is not None:
            kept = [pair for pair in scope["headers"] if pair[0].lower() not in (SECRET_HEADER, USER_HEADER)]
            named = [(USER_HEADER, user)] if user else []
            await self._app({**scope, "headers": [*kept, *named]}, receive, send)
        else:
            await refuse(scope, send, REFUSAL)


def proxy_login(settings: DashboardSettings) -> ProxyLogin | None:
    """Return how requests prove that they came through the proxy; ``None``: no proxy is configured.

    Raises:
        SettingError: A part of it is missing or cannot be used.
    """
    name, secret, proxies = settings.proxy_user_header, settings.proxy_secret, settings.trusted_proxies
    shown = f"BACKWATCH_DASHBOARD_PROXY_USER_HEADER={name[:100]!r}"
    if not name and not secret and not proxies:
        return None
    if not _HEADER_NAME.fullmatch(name):
        raise SettingError(f"{shown}: must be the name of the header with the authenticated user")
    if name.lower().encode() in (SECRET_HEADER, USER_HEADER):
        raise SettingError(f"{shown}: this name is taken, use another one, for example X-Forwarded-User")
    if not secret and not proxies:
        raise SettingError(
            f"{shown}: anyone can send this header; set BACKWATCH_DASHBOARD_PROXY_SECRET or "
            "BACKWATCH_DASHBOARD_TRUSTED_PROXIES too"
        )
    if secret and not (len(secret) >= MIN_SECRET_CHARACTERS and secret.isascii() and secret.isprintable()):
        raise SettingError(
            f"BACKWATCH_DASHBOARD_PROXY_SECRET=(secret): must be {MIN_SECRET_CHARACTERS} or more characters of ASCII"
        )
    try:
        networks = [ipaddress.ip_network(proxy) for proxy in proxies]
    except ValueError:
        given = ",".join(proxies)[:200]
        raise SettingError(
            f"BACKWATCH_DASHBOARD_TRUSTED_PROXIES={given!r}: must be addresses or networks between commas"
        ) from None
    return ProxyLogin(user_header=name.lower().encode(), secret=secret.encode(), networks=networks)


def check_exposure(settings: DashboardSettings, address: str) -> None:
    """Refuse an address that others can reach unless a proxy authenticates them or the settings allow it in words.

    Args:
        settings: The dashboard's.
        address: The resolved address that is about to be listened on.

    Raises:
        SettingError: Anyone who reaches it could read alerts and take decisions.
    """
    if proxy_login(settings) or settings.open_to_everybody == "yes-i-know" or _is_loopback(address):
        return
    raise SettingError(
        f"BACKWATCH_DASHBOARD_ADDRESS={settings.address!r}: is not loopback, and the dashboard has no login; set "
        "BACKWATCH_DASHBOARD_PROXY_USER_HEADER and BACKWATCH_DASHBOARD_PROXY_SECRET behind a proxy with one, or "
        "BACKWATCH_DASHBOARD_OPEN_TO_EVERYBODY=yes-i-know"
    )


def _is_loopback(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback
