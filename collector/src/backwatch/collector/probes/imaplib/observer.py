"""The calls on one IMAP connection: connect, starttls, login, and one call per command."""

import re
from typing import Any, Final

from backwatch.collector.probes.families.lines.banners import banner_text
from backwatch.collector.probes.families.lines.observer import LineCallObserver
from backwatch.collector.probes.families.lines.state import InFlightLineCall
from backwatch.collector.probes.toolkit.hooks import Args, Error, Kwargs
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.redaction import lines as redact
from backwatch.collector.runtime.guard import never_breaks_the_host

_CODE: Final = re.compile(r"\[([A-Z][A-Z-]{1,30})[\] ]")
_GREETING: Final = re.compile(r"\* (?:OK|PREAUTH) ?(?:\[[^\]]*\] ?)?")
_MESSAGE: Final = re.compile(rb"\d+ \(")
_COUNTED_COMMANDS: Final = frozenset(("FETCH", "SEARCH", "SORT", "LIST", "LSUB"))
_OTHER_REASON: Final = re.compile(r"temporar|too many|limit|unavail|disabled|try again", re.IGNORECASE)
_LOGIN_REFUSAL: Final = re.compile(r"auth|login|password|credential|invalid|denied", re.IGNORECASE)
_LOGIN_COMMANDS: Final = frozenset(("LOGIN", "AUTHENTICATE"))


class ImapCallObserver(LineCallObserver):
    """IMAP connections."""

    system = "imap"
    port = 143

    def code_of(self, error: BaseException) -> str:
        """Return IMAP's response code in an error (RFC 5530): ``AUTHENTICATIONFAILED``, ``NONEXISTENT``."""
        return code_in(error.args[0] if error.args else None)

    def greeting_facts(self, client: Any, result: Any) -> dict[str, Any]:
        """Return the server's version, and whether it requires no login; note whether it offers TLS."""
        del result
        if not hasattr(client.sock, "cipher"):
            self.state(client).starttls_offered = "STARTTLS" in client.capabilities
        greeting = words(client.welcome, 1_000)
        facts = {"server_version": banner_text(_GREETING.sub("", greeting, count=1))}
        return {**facts, "auth_method": "preauth"} if greeting.startswith("* PREAUTH") else facts

    @never_breaks_the_host
    def on_command(self, client: Any, args: Args, _kwargs: Kwargs) -> InFlightLineCall | None:
        """Note a command."""
        operation = redact.redact_imap(args[0], args[1:])[0]
        return self.begin_call(client, "login" if operation in _LOGIN_COMMANDS else operation, args)

    @never_breaks_the_host
    def on_command_end(self, client: Any, call: InFlightLineCall, response: Any, error: Error) -> None:
        """Record a command and its response."""
        name, *given = call.subject
        args = tuple(given)
        operation, statement = redact.redact_imap(name, args)
        failure: BaseException | str | None = error
        if response is not None and response[0] in ("NO", "BAD"):
            text = response[1][-1] if response[1] else None
            failure = code_in(text) or words(response[0], 10)
            if operation in _LOGIN_COMMANDS and failure == "NO" and is_refusal(words(text, 200)):
                failure = "AUTHENTICATIONFAILED"
        if operation in _LOGIN_COMMANDS:
            self.end_call(client, call, failure, **_login_facts(client, operation, args))
            return
        rows = _count_rows(client, operation.rpartition(" ")[2]) if failure is None else -1
        self.end_call(client, call, failure, statement, rows=rows)


def code_in(response: object) -> str:
    """Return IMAP's response code in a response.

    >>> code_in(b"[AUTHENTICATIONFAILED] Authentication failed for ann."), code_in(b"no [secret]")
    ('AUTHENTICATIONFAILED', '')
    """
    text = words(response, 200)
    found = _CODE.search(text)
    return found[1] if found else ""


def is_refusal(text: str) -> bool:
    """Return whether an older server, which has no response code for it, refuses a login.

    >>> is_refusal("LOGIN failed."), is_refusal("Login disabled"), is_refusal("Too many connections"), is_refusal("")
    (True, False, False, False)
    """
    return _LOGIN_REFUSAL.search(text) is not None and _OTHER_REASON.search(text) is None


def _login_facts(client: Any, operation: str, args: tuple[Any, ...]) -> dict[str, Any]:
    if operation == "LOGIN":
        return {"account": words(args[0] if args else "").strip('"'), "auth_method": "clear-password"}
    method = words(args[0] if args else "", 30).upper()
    # ``login_cram_md5`` leaves the account there; with other mechanisms only the app's own function knows it.
    account = words(getattr(client, "user", "")) if method == "CRAM-MD5" else ""
    return {"account": account, "auth_method": "clear-password" if method in ("PLAIN", "LOGIN") else method.lower()}


def _count_rows(client: Any, operation: str) -> int:
    """Return the messages, numbers or names in the response, before the library returns them."""
    if operation not in _COUNTED_COMMANDS:
        return -1
    parts = client.untagged_responses.get(operation) or []
    if operation in ("SEARCH", "SORT"):
        return sum(len(part.split()) for part in parts if isinstance(part, bytes))
    if operation == "FETCH":
        heads = (part[0] if isinstance(part, tuple) else part for part in parts)
        return sum(1 for head in heads if isinstance(head, bytes) and _MESSAGE.match(head))
    return len(parts)
