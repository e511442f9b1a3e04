"""``urllib.request`` where it opens no connection: ``file:`` URLs, which it takes wherever it takes ``http:`` ones.

Everything else of urllib's goes through ``http.client`` and ``ftplib``, and is told there.
"""

from collections.abc import Callable
from time import time_ns
from typing import Any, ClassVar, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.probes.toolkit.sockets import root_error, words
from backwatch.collector.redaction import http as redact
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session

_Function = Callable[..., Any]

MACHINE: Final = Session(system="file", transport="inproc")
"""Where the files are: on no service at all."""
MAX_PATH: Final = 4_096


class Watch:
    """Files that one process opens by URL."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder: Recorder | None = recorder

    def silence(self) -> None:
        """The probe is removed: nothing is told from now on."""
        self.recorder = None

    @never_breaks_the_host
    def opened(self, request: Any, start_ns: int, error: BaseException | None) -> None:
        """A file was opened, or could not be. Of its path as much is told as of any URL's."""
        if self.recorder is not None:
            path = words(getattr(request, "selector", ""), MAX_PATH)
            self.recorder.record_call(
                MACHINE, "GET", statement=redact.statement("GET", f"file://{path}"), start_ns=start_ns,
                error=None if error is None else root_error(error),
            )  # fmt: skip


def _open(watch: Watch) -> Callable[[_Function], _Function]:
    def make(original: _Function) -> _Function:
        def opening(handler: Any, request: Any) -> Any:
            start_ns = time_ns()
            try:
                result = original(handler, request)
            except BaseException as error:
                watch.opened(request, start_ns, error)
                raise
            watch.opened(request, start_ns, None)
            return result

        return opening

    return make


class UrllibProbe(PatchingProbe[Watch]):
    """What ``urllib.request`` opens without a connection."""

    name: ClassVar[str] = "urllib"
    module: ClassVar[str] = "urllib.request"
    distributions: ClassVar[tuple[str, ...]] = ()
    facts: ClassVar[frozenset[str]] = frozenset((
        names.SYSTEM, names.TRANSPORT, names.OPERATION, names.STATEMENT, names.ERROR_TYPE,
    ))  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps the one function that opens files."""
        from urllib.request import FileHandler

        self._patches, self._watch = Patches(), Watch(recorder)
        self._patches.wrap(FileHandler, "open_local_file", _open(self._watch))
