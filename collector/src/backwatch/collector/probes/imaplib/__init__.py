"""The standard library's imaplib: IMAP, with STARTTLS and with TLS from the first byte."""

import re
from typing import Any, ClassVar, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.lines.calls import Begun, Function, LineWatch, connecting, starting
from backwatch.collector.probes.smtplib.calls import banner_text
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.redaction import lines as redact
from backwatch.collector.runtime.guard import never_breaks_the_host

_CODE: Final = re.compile(r"\[([A-Z][A-Z-]{1,30})[\] ]")
_GREETING: Final = re.compile(r"\* (?:OK|PREAUTH) ?(?:\[[^\]]*\] ?)?")
_MESSAGE: Final = re.compile(rb"\d+ \(")
_COUNTED: Final = frozenset(("FETCH", "SEARCH", "SORT", "LIST", "LSUB"))
_OTHERWISE: Final = re.compile(r"temporar|too many|limit|unavail|disabled|try again", re.IGNORECASE)
_REFUSED: Final = re.compile(r"auth|login|password|credential|invalid|denied", re.IGNORECASE)
_LOGINS: Final = frozenset(("LOGIN", "AUTHENTICATE"))


def code_of(error: BaseException) -> str:
    """IMAP's response code in an error (RFC 5530): ``AUTHENTICATIONFAILED``, ``NONEXISTENT``."""
    first = error.args[0] if error.args else None
    return code_in(first)


def code_in(answer: object) -> str:
    """IMAP's response code in an answer.

    >>> code_in(b"[AUTHENTICATIONFAILED] Authentication failed for ann."), code_in(b"no [secret]")
    ('AUTHENTICATIONFAILED', '')
    """
    text = words(answer, 200)
    found = _CODE.search(text)
    return found[1] if found else ""


def refuses(text: str) -> bool:
    """Whether an older server, which has no response code for it, says that it does not take a login.

    >>> refuses("LOGIN failed."), refuses("Login disabled"), refuses("Too many connections"), refuses("")
    (True, False, False, False)
    """
    return _REFUSED.search(text) is not None and _OTHERWISE.search(text) is None


@never_breaks_the_host
def _greeted(watch: LineWatch, client: Any) -> dict[str, Any]:
    """What the server says of itself at once: who it is, whether it offers TLS, whether it asks for no login."""
    if not hasattr(client.sock, "cipher"):
        watch.link(client).offered = "STARTTLS" in client.capabilities
    greeting = words(client.welcome, 1_000)
    facts = {"server_version": banner_text(_GREETING.sub("", greeting, count=1))}
    return {**facts, "auth_method": "preauth"} if greeting.startswith("* PREAUTH") else facts


class _Command:
    """One command and its answer."""

    def __init__(self, watch: LineWatch) -> None:
        self._watch = watch

    def wrap(self, original: Function) -> Function:
        """The library's function, watched."""

        def commanding(client: Any, name: Any, *args: Any) -> Any:
            begun = self._watch.begin(client, self._operation(name, args) or "?")
            if begun is None:
                return original(client, name, *args)
            try:
                answer = original(client, name, *args)
            except BaseException as error:
                self._ended(client, begun, name, args, None, error)
                raise
            self._ended(client, begun, name, args, answer, None)
            return answer

        return commanding

    @never_breaks_the_host
    def _operation(self, name: Any, args: tuple[Any, ...]) -> str:
        operation = redact.redact_imap(name, args)[0]
        return "login" if operation in _LOGINS else operation

    @never_breaks_the_host
    def _ended(
        self, client: Any, begun: Begun, name: str, args: tuple[Any, ...], answer: Any, error: BaseException | None
    ) -> None:
        operation, statement = redact.redact_imap(name, args)
        failure: BaseException | str | None = error
        if answer is not None and answer[0] in ("NO", "BAD"):
            said = answer[1][-1] if answer[1] else None
            failure = code_in(said) or words(answer[0], 10)
            if operation in _LOGINS and failure == "NO" and refuses(words(said, 200)):
                failure = "AUTHENTICATIONFAILED"
        if operation in _LOGINS:
            self._watch.ended(client, begun, failure, **_login(client, operation, args))
            return
        rows = _rows(client, operation.rpartition(" ")[2]) if failure is None else -1
        self._watch.ended(client, begun, failure, statement, rows=rows)


def _login(client: Any, operation: str, args: tuple[Any, ...]) -> dict[str, Any]:
    if operation == "LOGIN":
        return {"account": words(args[0] if args else "").strip('"'), "auth_method": "clear-password"}
    method = words(args[0] if args else "", 30).upper()
    # ``login_cram_md5`` leaves the name there; with other mechanisms the app's own function says who it is.
    account = words(getattr(client, "user", "")) if method == "CRAM-MD5" else ""
    return {"account": account, "auth_method": "clear-password" if method in ("PLAIN", "LOGIN") else method.lower()}


def _rows(client: Any, operation: str) -> int:
    """Messages, numbers or names in the answer, before the library hands them out."""
    if operation not in _COUNTED:
        return -1
    told = client.untagged_responses.get(operation) or []
    if operation in ("SEARCH", "SORT"):
        return sum(len(one.split()) for one in told if isinstance(one, bytes))
    if operation == "FETCH":
        heads = (one[0] if isinstance(one, tuple) else one for one in told)
        return sum(1 for head in heads if isinstance(head, bytes) and _MESSAGE.match(head))
    return len(told)


class ImaplibProbe(PatchingProbe[LineWatch]):
    """Mailboxes that are read where they are."""

    name: ClassVar[str] = "imaplib"
    module: ClassVar[str] = "imaplib"
    distributions: ClassVar[tuple[str, ...]] = ()
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.ACCOUNT,
        names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT, names.BYTES_RECEIVED, names.ROWS_RETURNED,
        names.ERROR_TYPE, names.STATUS_CODE, names.STARTTLS_OFFERED,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps ``imaplib.IMAP4``, which the class for TLS inherits from."""
        import imaplib

        self._patches = patches = Patches()
        self._watch = watch = LineWatch(recorder, "imap", 143, getattr(imaplib, "IMAP4_SSL", None), code_of)
        patches.wrap(imaplib.IMAP4, "__init__", connecting(watch, lambda client, _: _greeted(watch, client)))
        patches.wrap(imaplib.IMAP4, "_simple_command", _Command(watch).wrap)
        patches.wrap(
            imaplib.IMAP4, "starttls", starting(watch, lambda _, args, options: (*args, options.get("ssl_context"))[0])
        )
