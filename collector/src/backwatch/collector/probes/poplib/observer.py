"""The calls on one POP3 connection: connect, starttls, login, and one call per command."""

import re
from typing import Any, Final

from backwatch.collector.probes.families.lines.banners import banner_text
from backwatch.collector.probes.families.lines.observer import LineCallObserver
from backwatch.collector.probes.families.lines.state import InFlightLineCall
from backwatch.collector.probes.toolkit.hooks import Args, Error, Kwargs
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.redaction import lines as redact
from backwatch.collector.runtime.guard import never_breaks_the_host

_LOGIN_COMMANDS: Final = frozenset(("PASS", "APOP", "RPOP"))
_CODE: Final = re.compile(rb"-ERR \[([A-Z][A-Z/-]{1,30})\]")
_TIMESTAMP: Final = re.compile(r"<[^>]{0,200}>")


class Pop3CallObserver(LineCallObserver):
    """POP3 connections."""

    system = "pop3"
    port = 110

    def code_of(self, error: BaseException) -> str:
        """Return POP3's response code in an error (RFC 2449): ``AUTH``, ``IN-USE``."""
        first = error.args[0] if error.args else None
        found = _CODE.match(first) if isinstance(first, bytes) else None
        return found[1].decode() if found else ""

    def greeting_facts(self, client: Any, result: Any) -> dict[str, Any]:
        """Return the server's version."""
        del result
        # The text in angle brackets is new with every connection (it is there for APOP).
        banner = _TIMESTAMP.sub("", words(client.welcome, 400).removeprefix("+OK")).strip()
        return {"server_version": banner_text(banner)}

    @never_breaks_the_host
    def on_command(self, client: Any, args: Args, _kwargs: Kwargs) -> tuple[InFlightLineCall | None, str] | None:
        """Note a command. CAPA is noted even where the library itself sends it (``stls``)."""
        verb = redact.redact_pop3(args[0])[0]
        call = self.begin_call(client, "login" if verb in _LOGIN_COMMANDS or verb == "USER" else verb)
        return None if call is None and verb != "CAPA" else (call, args[0])

    @never_breaks_the_host
    def on_command_end(self, client: Any, sent: tuple[InFlightLineCall | None, str], reply: Any, error: Error) -> None:
        """Record a command and its reply."""
        call, line = sent
        if line == "CAPA" and error is None and isinstance(reply, tuple):
            self._learn_capabilities(client, reply)
        if call is None:
            return
        state, (verb, statement) = call.state, redact.redact_pop3(line)
        if verb == "USER":
            state.account = words(line[5:]).strip()
            if error is None:
                state.busy = ""
                return  # PASS follows, and is recorded for both
        if verb == "USER" or verb in _LOGIN_COMMANDS:
            account = words(line[5:].partition(" ")[0]) if verb in ("APOP", "RPOP") else state.account
            method = {"APOP": "apop", "RPOP": "rpop"}.get(verb, "clear-password")
            self.end_call(client, call, error, account=account, auth_method=method)
            return
        rows = -1
        if isinstance(reply, tuple) and verb in ("LIST", "UIDL"):
            rows = len(reply[1])
        elif error is None and verb in ("RETR", "TOP"):
            rows = 1
        self.end_call(client, call, error, statement, rows=rows)

    def _learn_capabilities(self, client: Any, reply: Any) -> None:
        if self.active and not hasattr(client.sock, "cipher"):  # inside TLS a server does not offer it again
            self.state(client).starttls_offered = any(line.split()[:1] == [b"STLS"] for line in reply[1])
