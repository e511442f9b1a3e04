"""The calls on one FTP connection: connect, starttls, login, commands, and the data connections that they open."""

import re
from typing import Any, Final, NamedTuple

from backwatch.collector import names
from backwatch.collector.probes.families.lines.banners import banner_text
from backwatch.collector.probes.families.lines.observer import LineCallObserver
from backwatch.collector.probes.families.lines.state import InFlightLineCall
from backwatch.collector.probes.ftplib.transfers import Transfer
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Args, Error, Kwargs
from backwatch.collector.probes.toolkit.nodes import address
from backwatch.collector.probes.toolkit.sockets import peer, tls_of, words
from backwatch.collector.redaction import lines as redact
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts
from backwatch.collector.session.tls import read_tls_facts

_ENDPOINT: Final = re.compile(r"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})")


class SentCommand(NamedTuple):
    """A command that waits for its reply.

    Attributes:
        call: ``None`` where the command is part of another call.
    """

    call: InFlightLineCall | None
    cmd: Any


class FtpCallObserver(LineCallObserver):
    """FTP connections."""

    system = "ftp"
    port = 21

    def code_of(self, error: BaseException) -> str:
        """Return the server's reply code in an error of ftplib: ``530``."""
        first = error.args[0] if error.args else None
        return first[:3] if isinstance(first, str) and first[:3].isdigit() and first[3:4] in (" ", "-", "") else ""

    def greeting_facts(self, client: Any, result: Any) -> dict[str, Any]:
        """Return the server's version."""
        del client
        return {"server_version": banner_text(words(result, 200)[4:].strip("() "))}

    @never_breaks_the_host
    def on_login(self, client: Any, args: Args, kwargs: Kwargs) -> InFlightLineCall | None:
        """Note a login."""
        account = words(argument(args, kwargs, 0, "user")) or "anonymous"
        method = "none" if account == "anonymous" else "clear-password"
        return self.begin_call(client, "login", {"account": account, "auth_method": method})

    @never_breaks_the_host
    def on_login_end(self, client: Any, call: InFlightLineCall, _reply: Any, error: Error) -> None:
        """Record a login."""
        self.end_call(client, call, error, **call.subject)

    @never_breaks_the_host
    def on_command(self, client: Any, args: Args, kwargs: Kwargs) -> SentCommand:
        """Note a command."""
        cmd = argument(args, kwargs, 0, "cmd")
        return SentCommand(self.begin(client, cmd), cmd)

    @never_breaks_the_host
    def on_command_end(self, client: Any, sent: SentCommand, reply: Any, error: Error) -> None:
        """Record a command, and learn from its reply."""
        call, cmd = sent
        if self.active:
            if error is None:
                self._learn_reply(client, cmd, reply)
            elif isinstance(cmd, str) and cmd.startswith("AUTH ") and self.code_of(error).startswith("5"):
                self.state(client).starttls_offered = False
        if call is not None:
            verb, statement = redact.redact_ftp(cmd)
            facts = self.redirect_facts(client) if verb == "PASV" else ()
            self.end_call(client, call, error, statement, facts=facts)

    def _learn_reply(self, client: Any, cmd: Any, reply: Any) -> None:
        if cmd not in ("PASV", "FEAT"):
            return
        state = self.state(client)
        if cmd == "PASV":
            host, port = endpoint_in(reply)
            known = peer(client.sock).get("peer_address", "")
            state.redirect_target = address(host, port) if host and known and host != known else ""
        elif not hasattr(client.sock, "cipher"):
            offered = any(line.strip().upper().startswith("AUTH TLS") for line in reply.splitlines()[:100])
            state.starttls_offered = offered

    @never_breaks_the_host
    def on_open_data_end(self, client: Any, sent: SentCommand, result: Any, error: Error) -> None:
        """Learn of a data connection. Where the app itself opens one, record that without its bytes.

        ``FTP_TLS`` calls ``FTP`` for a plain connection, and then perhaps upgrades it: its own hook learns the facts.
        """
        if error is None and self.active and (not hasattr(client, "prot_p") or sent.call is not None):
            self._learn_data(client, result)
        self._end_open_data(client, sent, error)

    @never_breaks_the_host
    def on_open_tls_data_end(self, client: Any, sent: SentCommand, result: Any, error: Error) -> None:
        """Learn of a data connection of ``FTP_TLS``, likewise."""
        if error is None and self.active:
            self._learn_data(client, result)
        self._end_open_data(client, sent, error)

    @never_breaks_the_host
    def _learn_data(self, client: Any, result: Any) -> None:
        self.state(client).data = dict(read_tls_facts(tls_of(result[0])))

    def _end_open_data(self, client: Any, sent: SentCommand, error: Error) -> None:
        if sent.call is not None:
            statement, facts = redact.redact_ftp(sent.cmd)[1], self.redirect_facts(client)
            self.end_call(client, sent.call, error, statement, facts=facts)

    @never_breaks_the_host
    def begin(self, client: Any, cmd: Any) -> InFlightLineCall | None:
        """Begin the call of a command."""
        return self.begin_call(client, self._verb_of(cmd) or "?", cmd)

    @never_breaks_the_host
    def _verb_of(self, cmd: Any) -> str:
        return redact.redact_ftp(cmd)[0]

    @never_breaks_the_host
    def end_transfer(self, client: Any, call: InFlightLineCall, transfer: Transfer, error: Error) -> None:
        """Record a transfer."""
        rows = transfer.lines if transfer.by_line and error is None and call.state.busy != "RETR" else -1
        moved = (transfer.bytes, 0) if transfer.stores else (0, transfer.bytes)
        statement, facts = redact.redact_ftp(call.subject)[1], self.redirect_facts(client)
        self.end_call(client, call, error, statement, rows=rows, moved=moved, facts=facts)

    def redirect_facts(self, client: Any) -> Facts:
        """Return the other host from which the server wanted data to be fetched, if any."""
        state = self.state(client)
        target, state.redirect_target = state.redirect_target, ""
        return ((names.REDIRECT_TARGET, target),) if target else ()


def endpoint_in(reply: object) -> tuple[str, int]:
    """Return the data connection's host and port in the server's reply to PASV.

    >>> endpoint_in("227 Entering Passive Mode (10,0,0,7,195,80)."), endpoint_in("227 none")
    (('10.0.0.7', 50000), ('', 0))
    """
    found = _ENDPOINT.search(reply[:200]) if isinstance(reply, str) and reply.startswith("227") else None
    numbers = [int(number) for number in found.groups()] if found else []
    if not numbers or max(numbers) > 255:
        return "", 0
    return ".".join(map(str, numbers[:4])), numbers[4] * 256 + numbers[5]
