"""``urllib.request`` where it opens no connection: ``file:`` URLs, which it accepts wherever it accepts ``http:`` ones.

All else in urllib goes through ``http.client`` and ``ftplib``, whose probes report it.
"""

from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import CallToken, Error, call_hook
from backwatch.collector.probes.toolkit.observers import RecordingObserver
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.probes.toolkit.sockets import root_error, words
from backwatch.collector.redaction import http as redact
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session

LOCAL_FILES: Final = Session(system="file", transport="inproc")
"""The session of all files: they are on no service."""
MAX_PATH_CHARS: Final = 4_096


class UrllibCallObserver(RecordingObserver):
    """The files that one process opens by URL."""

    @never_breaks_the_host
    def on_open_end(self, _handler: Any, opened: CallToken, _result: Any, error: Error) -> None:
        """Record a file that was opened, or could not be. As much of its path is reported as of any URL's."""
        start_ns, args, kwargs = opened
        request = argument(args, kwargs, 0, "req")
        if self.recorder is not None:
            path = words(getattr(request, "selector", ""), MAX_PATH_CHARS)
            self.recorder.record_call(
                LOCAL_FILES, "GET", statement=redact.to_statement("GET", f"file://{path}"), start_ns=start_ns,
                error=None if error is None else root_error(error),
            )  # fmt: skip


class UrllibProbe(PatchingProbe[UrllibCallObserver]):
    """Files that ``urllib.request`` opens, without a connection."""

    name = "urllib"
    module = "urllib.request"
    label = "urllib's file: URLs"
    service_kind = "Mail, files, directories"
    distributions = ()
    facts = frozenset((
        names.SYSTEM, names.TRANSPORT, names.OPERATION, names.STATEMENT, names.ERROR_TYPE,
    ))  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap the one function that opens files."""
        from urllib.request import FileHandler

        observer, patches = UrllibCallObserver(recorder), Patches()
        self._observer, self._patches = observer, patches
        patches.wrap(FileHandler, "open_local_file", call_hook(None, observer.on_open_end))
