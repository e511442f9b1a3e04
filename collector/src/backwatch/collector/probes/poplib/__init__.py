"""The standard library's poplib: POP3, with STLS and with TLS from the first byte."""

import re
from typing import Any, ClassVar, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.lines.calls import Begun, Function, LineWatch, Make, connecting, starting
from backwatch.collector.probes.smtplib.calls import banner_text
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.redaction import lines as redact
from backwatch.collector.runtime.guard import never_breaks_the_host

_LOGINS: Final = frozenset(("PASS", "APOP", "RPOP"))
_CODE: Final = re.compile(rb"-ERR \[([A-Z][A-Z/-]{1,30})\]")
_TIMESTAMP: Final = re.compile(r"<[^>]{0,200}>")


def code_of(error: BaseException) -> str:
    """POP3's response code in an error (RFC 2449): ``AUTH``, ``IN-USE``.

    >>> code_of(Exception(b"-ERR [AUTH] Authentication failed for ann."))
    'AUTH'
    """
    first = error.args[0] if error.args else None
    found = _CODE.match(first) if isinstance(first, bytes) else None
    return found[1].decode() if found else ""


@never_breaks_the_host
def _greeted(client: Any, _: object) -> dict[str, Any]:
    # What stands in angle brackets is new with every connection (it is there for APOP).
    banner = _TIMESTAMP.sub("", words(client.welcome, 400).removeprefix("+OK")).strip()
    return {"server_version": banner_text(banner)}


class _Command:
    """One line to the server and its answer."""

    def __init__(self, watch: LineWatch) -> None:
        self._watch = watch

    def wrap(self, original: Function) -> Function:
        """The library's function, watched."""

        def commanding(client: Any, line: Any) -> Any:
            begun = self._begin(client, line)
            if begun is None:
                return original(client, line)
            try:
                reply = original(client, line)
            except BaseException as error:
                self._ended(client, begun, line, None, error)
                raise
            self._ended(client, begun, line, reply, None)
            return reply

        return commanding

    def _begin(self, client: Any, line: Any) -> Begun | None:
        return self._watch.begin(client, self._operation(line) or "?")

    @never_breaks_the_host
    def _operation(self, line: Any) -> str:
        verb = redact.redact_pop3(line)[0]
        return "login" if verb in _LOGINS or verb == "USER" else verb

    @never_breaks_the_host
    def _ended(self, client: Any, begun: Begun, line: str, reply: Any, error: BaseException | None) -> None:
        link, (verb, statement) = begun.link, redact.redact_pop3(line)
        if verb == "USER":
            link.account = words(line[5:]).strip()
            if error is None:
                link.busy = ""
                return  # PASS follows, and tells of both
        if verb == "USER" or verb in _LOGINS:
            account = words(line[5:].partition(" ")[0]) if verb in ("APOP", "RPOP") else link.account
            method = {"APOP": "apop", "RPOP": "rpop"}.get(verb, "clear-password")
            self._watch.ended(client, begun, error, account=account, auth_method=method)
            return
        rows = -1
        if isinstance(reply, tuple) and verb in ("LIST", "UIDL"):
            rows = len(reply[1])
        elif error is None and verb in ("RETR", "TOP"):
            rows = 1
        self._watch.ended(client, begun, error, statement, rows=rows)


def _capabilities(watch: LineWatch) -> Make:
    """What the server offers is a fact even where a call of the library's own asks (``stls``)."""

    @never_breaks_the_host
    def offered(client: Any, reply: Any) -> None:
        if watch.active and not hasattr(client.sock, "cipher"):  # inside TLS a server does not offer it again
            watch.link(client).offered = any(one.split()[:1] == [b"STLS"] for one in reply[1])

    def make(original: Function) -> Function:
        def asking(client: Any, line: Any) -> Any:
            reply = original(client, line)
            if line == "CAPA":
                offered(client, reply)
            return reply

        return asking

    return make


class PoplibProbe(PatchingProbe[LineWatch]):
    """Mailboxes that are fetched."""

    name: ClassVar[str] = "poplib"
    module: ClassVar[str] = "poplib"
    distributions: ClassVar[tuple[str, ...]] = ()
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.ACCOUNT,
        names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT, names.BYTES_RECEIVED, names.ROWS_RETURNED,
        names.ERROR_TYPE, names.STATUS_CODE, names.STARTTLS_OFFERED,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps ``poplib.POP3``, which the class for TLS inherits from."""
        import poplib

        self._patches = patches = Patches()
        self._watch = watch = LineWatch(recorder, "pop3", 110, getattr(poplib, "POP3_SSL", None), code_of)
        command = _Command(watch)
        patches.wrap(poplib.POP3, "__init__", connecting(watch, _greeted))
        patches.wrap(poplib.POP3, "_shortcmd", command.wrap)
        patches.wrap(poplib.POP3, "_longcmd", lambda original: command.wrap(_capabilities(watch)(original)))
        patches.wrap(poplib.POP3, "stls", starting(watch, lambda _, args, options: (*args, options.get("context"))[0]))
