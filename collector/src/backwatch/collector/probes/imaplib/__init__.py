"""The standard library's imaplib: IMAP, with STARTTLS and with TLS from the first byte."""

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.lines.state import LINE_FACTS
from backwatch.collector.probes.imaplib.observer import ImapCallObserver
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


class ImaplibProbe(PatchingProbe[ImapCallObserver]):
    """Mailboxes that the app reads on the server."""

    name = "imaplib"
    module = "imaplib"
    label = "imaplib"
    service_kind = "Mail, files, directories"
    distributions = ()
    facts = LINE_FACTS | {names.ROWS_RETURNED}

    def install(self, recorder: Recorder) -> None:
        """Wrap ``imaplib.IMAP4``, which the class for TLS inherits from."""
        import imaplib

        self._patches = patches = Patches()
        self._observer = observer = ImapCallObserver(recorder, getattr(imaplib, "IMAP4_SSL", None))
        starttls_hook = observer.starttls_hook(lambda _, args, kwargs: argument(args, kwargs, 0, "ssl_context"))
        command_hook = call_hook(observer.on_command, observer.on_command_end)
        patches.wrap(imaplib.IMAP4, "__init__", observer.connect_hook())
        patches.wrap(imaplib.IMAP4, "_simple_command", command_hook)
        patches.wrap(imaplib.IMAP4, "starttls", starttls_hook)
