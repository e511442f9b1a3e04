"""The calls on one mail connection: connect, starttls, login and send; the reply to EHLO is a fact."""

from collections.abc import Iterable
from typing import Any, Final

from backwatch.collector.probes.families.lines.banners import banner_text
from backwatch.collector.probes.families.lines.observer import LineCallObserver, to_port
from backwatch.collector.probes.families.lines.state import InFlightLineCall
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Args, Error, Kwargs
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.redaction import smtp as redact
from backwatch.collector.runtime.guard import never_breaks_the_host

MAX_RECIPIENTS: Final = 1_000
MAX_ACCOUNT_CHARS: Final = 120
_CLEAR_METHODS: Final = frozenset(("PLAIN", "LOGIN"))


class SmtpCallObserver(LineCallObserver):
    """SMTP connections: the reply to EHLO is a fact, and a login tries one method after the other."""

    system = "smtp"
    port = 0
    default_host = "localhost"

    def endpoint(self, client: Any, host: object, port: object) -> tuple[str, int]:
        """Return a connection's host and port: the host may include the port."""
        address, number = words(host or getattr(client, "_host", "") or "localhost", 255), to_port(port)
        if not number and address.find(":") == address.rfind(":") > 0:
            address, _, tail = address.rpartition(":")
            number = int(tail) if tail.isdigit() else 0
        return address, number or int(getattr(client, "default_port", 0) or 0)

    def offers_starttls(self, client: Any, encrypted: bool | None) -> bool | None:
        """Return whether the reply to EHLO has STARTTLS; before TLS only: inside TLS a server does not offer it."""
        if encrypted is not False or getattr(client, "ehlo_resp", None) is None:
            return None
        return "starttls" in (getattr(client, "esmtp_features", None) or {})

    def code_of(self, error: BaseException) -> str:
        """Return the server's reply code in an error of smtplib."""
        code = getattr(error, "smtp_code", None)
        return str(code) if isinstance(code, int) and 0 < code < 1000 else ""

    def greeting_facts(self, client: Any, result: Any) -> dict[str, Any]:
        """Return the banner, and the reply code where that is a refusal."""
        del client
        facts: dict[str, Any] = {"server_version": banner_text(result[1])}
        return facts if result[0] == 220 else {**facts, "error": words(result[0], 10)}

    @never_breaks_the_host
    def on_ehlo_end(self, client: Any, _call: Any, _reply: Any, error: Error) -> None:
        """Learn from the reply to EHLO or HELO."""
        if self.active and error is None:
            self.update_session(client, self.state(client), {})

    @never_breaks_the_host
    def on_login(self, client: Any, args: Args, kwargs: Kwargs) -> InFlightLineCall | None:
        """Note a login, which tries methods by calling ``auth``."""
        return self._begin_login(client, argument(args, kwargs, 0, "user"))

    @never_breaks_the_host
    def on_auth(self, client: Any, args: Args, kwargs: Kwargs) -> InFlightLineCall | None:
        """Note a login method; an app may also call ``auth`` itself. The last method is the one that worked."""
        mechanism = words(argument(args, kwargs, 0, "mechanism"), 30).upper()
        self.state(client).method = "clear-password" if mechanism in _CLEAR_METHODS else mechanism.lower()
        return self._begin_login(client, getattr(client, "user", None))

    def _begin_login(self, client: Any, account: object) -> InFlightLineCall | None:
        facts = {"account": account[:MAX_ACCOUNT_CHARS]} if isinstance(account, str) else {}
        return self.begin_call(client, "login", facts)

    @never_breaks_the_host
    def on_login_end(self, client: Any, call: InFlightLineCall, _reply: Any, error: Error) -> None:
        """Record a login."""
        self.end_call(client, call, error, auth_method=self.state(client).method, **call.subject)

    @never_breaks_the_host
    def on_send(self, client: Any, args: Args, kwargs: Kwargs) -> InFlightLineCall | None:
        """Note a message that is about to be sent."""
        return self.begin_call(client, "send", send_text(argument(args, kwargs, 1, "to_addrs")) or ("", -1))

    @never_breaks_the_host
    def on_send_end(self, client: Any, call: InFlightLineCall, refused: Any, error: Error) -> None:
        """Record a message with the count of recipients that the server accepted."""
        text, count = call.subject
        lost = len(refused) if isinstance(refused, dict) else 0
        self.end_call(client, call, error, text, affected=max(count - lost, -1) if error is None else 0)


@never_breaks_the_host
def send_text(recipients: object) -> tuple[str, int]:
    """Return the statement of a message by its recipients, and their count."""
    if isinstance(recipients, (str, bytes)):
        listed: list[object] = [recipients]
    elif isinstance(recipients, (list, tuple, set, frozenset, dict)):
        listed = list(recipients)
    else:
        return "", -1  # an iterator, which must not be used up
    return redact.to_statement([words(recipient, 320) for recipient in _first(listed)]), len(listed)


def _first(recipients: list[object]) -> Iterable[object]:
    return recipients[:MAX_RECIPIENTS]
