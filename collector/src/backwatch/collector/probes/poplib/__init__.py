"""The standard library's poplib: POP3, with STLS and with TLS from the first byte."""

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.lines.state import LINE_FACTS
from backwatch.collector.probes.poplib.observer import Pop3CallObserver
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


class PoplibProbe(PatchingProbe[Pop3CallObserver]):
    """Mailboxes that the app fetches."""

    name = "poplib"
    module = "poplib"
    label = "poplib"
    service_kind = "Mail, files, directories"
    distributions = ()
    facts = LINE_FACTS | {names.ROWS_RETURNED}

    def install(self, recorder: Recorder) -> None:
        """Wrap ``poplib.POP3``, which the class for TLS inherits from."""
        import poplib

        self._patches = patches = Patches()
        self._observer = observer = Pop3CallObserver(recorder, getattr(poplib, "POP3_SSL", None))
        starttls_hook = observer.starttls_hook(lambda _, args, kwargs: argument(args, kwargs, 0, "context"))
        command_hook = call_hook(observer.on_command, observer.on_command_end)
        patches.wrap(poplib.POP3, "__init__", observer.connect_hook())
        patches.wrap(poplib.POP3, "_shortcmd", command_hook)
        patches.wrap(poplib.POP3, "_longcmd", command_hook)
        patches.wrap(poplib.POP3, "stls", starttls_hook)
