"""The standard library's smtplib: SMTP, SMTP over TLS, LMTP over TCP."""

from collections.abc import Callable
from typing import Any, ClassVar

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.lines.observer import connecting, starting
from backwatch.collector.probes.smtplib.calls import Watch, answered, send_text
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_Function = Callable[..., Any]


def _context(_: object, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    return options.get("context", args[2] if len(args) > 2 else None)


def _login(watch: Watch, *, method_at: int | None) -> Callable[[_Function], _Function]:
    """``login`` tries methods by calling ``auth``; an app may also call ``auth`` itself.

    Args:
        method_at: Where the method's name stands among the arguments; ``None`` for ``login``.
    """

    def make(original: _Function) -> _Function:
        def logging_in(client: Any, *args: Any, **options: Any) -> Any:
            if method_at is not None:
                watch.method(client, options.get("mechanism", args[method_at] if args else ""))
                account = getattr(client, "user", None)
            else:
                account = options.get("user", args[0] if args else None)
            begun = watch.begin(client, "login")
            if begun is None:
                return original(client, *args, **options)
            facts: dict[str, Any] = {"account": account[:120]} if isinstance(account, str) else {}
            try:
                reply = original(client, *args, **options)
            except BaseException as error:
                watch.ended(client, begun, error, "", auth_method=watch.method_of(client), **facts)
                raise
            watch.ended(client, begun, None, "", auth_method=watch.method_of(client), **facts)
            return reply

        return logging_in

    return make


def _sendmail(watch: Watch) -> Callable[[_Function], _Function]:
    def make(original: _Function) -> _Function:
        def sending(client: Any, *args: Any, **options: Any) -> Any:
            begun = watch.begin(client, "send")
            if begun is None:
                return original(client, *args, **options)
            text, count = send_text(options.get("to_addrs", args[1] if len(args) > 1 else ())) or ("", -1)
            try:
                refused = original(client, *args, **options)
            except BaseException as error:
                watch.ended(client, begun, error, text, affected=0)
                raise
            lost = len(refused) if isinstance(refused, dict) else 0
            watch.ended(client, begun, None, text, affected=max(count - lost, -1))
            return refused

        return sending

    return make


def _greeting(watch: Watch) -> Callable[[_Function], _Function]:
    def make(original: _Function) -> _Function:
        def greeting(client: Any, *args: Any, **options: Any) -> Any:
            reply = original(client, *args, **options)
            watch.greeted(client)
            return reply

        return greeting

    return make


class SmtplibProbe(PatchingProbe[Watch]):
    """Mail by the standard library."""

    name: ClassVar[str] = "smtplib"
    module: ClassVar[str] = "smtplib"
    distributions: ClassVar[tuple[str, ...]] = ()
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.ACCOUNT,
        names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT, names.BYTES_RECEIVED, names.ROWS_AFFECTED,
        names.ERROR_TYPE, names.STATUS_CODE, names.STARTTLS_OFFERED,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps ``smtplib.SMTP``, which the other classes inherit from."""
        import smtplib

        self._patches = patches = Patches()
        self._watch = watch = Watch(recorder, getattr(smtplib, "SMTP_SSL", None))
        patches.wrap(smtplib.SMTP, "connect", connecting(watch, answered, "localhost"))
        patches.wrap(smtplib.SMTP, "starttls", starting(watch, _context))
        patches.wrap(smtplib.SMTP, "login", _login(watch, method_at=None))
        patches.wrap(smtplib.SMTP, "auth", _login(watch, method_at=0))
        patches.wrap(smtplib.SMTP, "sendmail", _sendmail(watch))
        patches.wrap(smtplib.SMTP, "ehlo", _greeting(watch))
        patches.wrap(smtplib.SMTP, "helo", _greeting(watch))
