"""The standard library's smtplib: SMTP, SMTP over TLS, LMTP over TCP."""

from typing import ClassVar

from backwatch.collector import names
from backwatch.collector.probes import Recorder, ServiceKind
from backwatch.collector.probes.smtplib.observer import SmtpCallObserver
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


class SmtplibProbe(PatchingProbe[SmtpCallObserver]):
    """Mail by the standard library."""

    name: ClassVar[str] = "smtplib"
    module: ClassVar[str] = "smtplib"
    label: ClassVar[str] = "smtplib"
    service_kind: ClassVar[ServiceKind] = "Mail, files, directories"
    distributions: ClassVar[tuple[str, ...]] = ()
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.ACCOUNT,
        names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT, names.BYTES_RECEIVED, names.ROWS_AFFECTED,
        names.ERROR_TYPE, names.STATUS_CODE, names.STARTTLS_OFFERED,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap ``smtplib.SMTP``, which the other classes inherit from."""
        import smtplib

        self._patches = patches = Patches()
        self._observer = observer = SmtpCallObserver(recorder, getattr(smtplib, "SMTP_SSL", None))
        for method, decorator in (
            ("connect", observer.connect_hook()),
            ("starttls", observer.starttls_hook(lambda _, args, kwargs: argument(args, kwargs, 2, "context"))),
            ("login", call_hook(observer.on_login, observer.on_login_end)),
            ("auth", call_hook(observer.on_auth, observer.on_login_end)),
            ("sendmail", call_hook(observer.on_send, observer.on_send_end)),
            ("ehlo", call_hook(None, observer.on_ehlo_end)),
            ("helo", call_hook(None, observer.on_ehlo_end)),
        ):
            patches.wrap(smtplib.SMTP, method, decorator)
