"""The standard library's smtplib: SMTP, SMTP over TLS, LMTP over TCP."""

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.lines.state import LINE_FACTS
from backwatch.collector.probes.smtplib.observer import SmtpCallObserver
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


class SmtplibProbe(PatchingProbe[SmtpCallObserver]):
    """Mail by the standard library."""

    name = "smtplib"
    module = "smtplib"
    label = "smtplib"
    service_kind = "Mail, files, directories"
    distributions = ()
    facts = LINE_FACTS | {names.ROWS_AFFECTED}

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
