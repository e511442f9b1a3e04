"""The standard library's ftplib: FTP, and FTP over TLS (explicit); what goes over the data connection too."""

import re
from typing import Any, ClassVar, Final

from backwatch.collector import names
from backwatch.collector.payload.formats import Facts
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.lines.calls import Begun, Function, LineWatch, Make, connecting, starting
from backwatch.collector.probes.ftplib.transfers import Transfer, transferring
from backwatch.collector.probes.smtplib.calls import banner_text
from backwatch.collector.probes.toolkit.nodes import address
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.probes.toolkit.sockets import peer, tls_of, words
from backwatch.collector.redaction import lines as redact
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.session.tls import read_tls_facts

_PLACE: Final = re.compile(r"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})")


def code_of(error: BaseException) -> str:
    """The server's reply code in an error of ftplib: ``530``."""
    first = error.args[0] if error.args else None
    return first[:3] if isinstance(first, str) and first[:3].isdigit() and first[3:4] in (" ", "-", "") else ""


def place_in(reply: object) -> tuple[str, int]:
    """Where data are to be fetched, by the server's answer to PASV.

    >>> place_in("227 Entering Passive Mode (10,0,0,7,195,80)."), place_in("227 none")
    (('10.0.0.7', 50000), ('', 0))
    """
    found = _PLACE.search(reply[:200]) if isinstance(reply, str) and reply.startswith("227") else None
    numbers = [int(one) for one in found.groups()] if found else []
    if not numbers or max(numbers) > 255:
        return "", 0
    return ".".join(map(str, numbers[:4])), numbers[4] * 256 + numbers[5]


@never_breaks_the_host
def _greeted(_: object, welcome: Any) -> dict[str, Any]:
    return {"server_version": banner_text(words(welcome, 200)[4:].strip("() "))}


class _Command:
    """One line to the server and its answer."""

    def __init__(self, watch: LineWatch) -> None:
        self._watch = watch

    def wrap(self, original: Function) -> Function:
        """The library's function, watched."""

        def commanding(client: Any, cmd: Any) -> Any:
            begun = self._watch.begin(client, self._operation(cmd) or "?")
            try:
                reply = original(client, cmd)
            except BaseException as error:
                self._refused(client, cmd, error)
                if begun is not None:
                    self._ended(client, begun, cmd, error)
                raise
            self._answered(client, cmd, reply)
            if begun is not None:
                self._ended(client, begun, cmd, None)
            return reply

        return commanding

    @never_breaks_the_host
    def _operation(self, cmd: Any) -> str:
        return redact.ftp(cmd)[0]

    @never_breaks_the_host
    def _refused(self, client: Any, cmd: Any, error: BaseException) -> None:
        if self._watch.active and isinstance(cmd, str) and cmd.startswith("AUTH ") and code_of(error).startswith("5"):
            self._watch.link(client).offered = False

    @never_breaks_the_host
    def _answered(self, client: Any, cmd: Any, reply: Any) -> None:
        if not self._watch.active or cmd not in ("PASV", "FEAT"):
            return
        link = self._watch.link(client)
        if cmd == "PASV":
            host, port = place_in(reply)
            known = peer(client.sock).get("peer_address", "")
            link.target = address(host, port) if host and known and host != known else ""
        elif not hasattr(client.sock, "cipher"):
            link.offered = any(line.strip().upper().startswith("AUTH TLS") for line in reply.splitlines()[:100])

    @never_breaks_the_host
    def _ended(self, client: Any, begun: Begun, cmd: Any, error: BaseException | None) -> None:
        verb, statement = redact.ftp(cmd)
        target, facts = begun.link.target, ()
        if verb == "PASV" and target:
            facts, begun.link.target = ((names.REDIRECT_TARGET, target),), ""
        self._watch.ended(client, begun, error, statement, facts=facts)


def _login(watch: LineWatch) -> Make:
    def make(original: Function) -> Function:
        def logging_in(client: Any, *args: Any, **options: Any) -> Any:
            begun = watch.begin(client, "login")
            if begun is None:
                return original(client, *args, **options)
            account = words(options.get("user", args[0] if args else "")) or "anonymous"
            facts: dict[str, Any] = {
                "account": account,
                "auth_method": "none" if account == "anonymous" else "clear-password",
            }
            try:
                reply = original(client, *args, **options)
            except BaseException as error:
                watch.ended(client, begun, error, **facts)
                raise
            watch.ended(client, begun, None, **facts)
            return reply

        return logging_in

    return make


def _opening(watch: LineWatch, *, of_tls: bool) -> Make:
    """The data connection is made; apps may ask for it themselves, and are then told without what goes over it."""

    @never_breaks_the_host
    def opened(client: Any, result: Any) -> None:
        # ``FTP_TLS`` calls ``FTP`` for a plain one, and then perhaps speaks TLS over it: the outer one has it right.
        watch.link(client).data = dict(read_tls_facts(tls_of(result[0])))

    @never_breaks_the_host
    def ended(client: Any, begun: Begun, cmd: Any, error: BaseException | None) -> None:
        watch.ended(client, begun, error, redact.ftp(cmd)[1], facts=target_facts(watch, client))

    def make(original: Function) -> Function:
        def opening(client: Any, cmd: Any, *args: Any, **options: Any) -> Any:
            begun = watch.begin(client, _verb(cmd) or "?")
            try:
                result = original(client, cmd, *args, **options)
            except BaseException as error:
                if begun is not None:
                    ended(client, begun, cmd, error)
                raise
            if watch.active and (of_tls or not hasattr(client, "prot_p") or begun is not None):
                opened(client, result)
            if begun is not None:
                ended(client, begun, cmd, None)
            return result

        return opening

    return make


@never_breaks_the_host
def _verb(cmd: Any) -> str:
    return redact.ftp(cmd)[0]


def target_facts(watch: LineWatch, client: Any) -> Facts:
    """Where the server wanted data to be fetched, where that is another host than the one that was asked."""
    link = watch.link(client)
    target, link.target = link.target, ""
    return ((names.REDIRECT_TARGET, target),) if target else ()


class FtplibProbe(PatchingProbe[LineWatch]):
    """Files that are fetched and stored."""

    name: ClassVar[str] = "ftplib"
    module: ClassVar[str] = "ftplib"
    distributions: ClassVar[tuple[str, ...]] = ()
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.ACCOUNT,
        names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT, names.BYTES_RECEIVED, names.BYTES_ESTIMATED,
        names.ROWS_RETURNED, names.ERROR_TYPE, names.STATUS_CODE, names.STARTTLS_OFFERED, names.REDIRECT_TARGET,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps ``ftplib.FTP``, which the class for TLS inherits from."""
        import ftplib

        self._patches = patches = Patches()
        self._watch = watch = LineWatch(recorder, "ftp", 21, None, code_of)
        command = _Command(watch)
        patches.wrap(ftplib.FTP, "connect", connecting(watch, _greeted))
        patches.wrap(ftplib.FTP, "login", _login(watch))
        patches.wrap(ftplib.FTP, "sendcmd", command.wrap)
        patches.wrap(ftplib.FTP, "voidcmd", command.wrap)
        patches.wrap(ftplib.FTP, "ntransfercmd", _opening(watch, of_tls=False))
        for name, callback_at in Transfer.METHODS.items():
            patches.wrap(ftplib.FTP, name, transferring(watch, name, callback_at, target_facts))
        with_tls = getattr(ftplib, "FTP_TLS", None)
        if with_tls is not None:
            patches.wrap(with_tls, "ntransfercmd", _opening(watch, of_tls=True))
            patches.wrap(with_tls, "auth", starting(watch, lambda client, _args, _options: client.context))
