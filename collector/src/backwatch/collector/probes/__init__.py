"""One package per client library. A new probe is one new package here and nothing else: this folder is walked.

A probe's package has the name of the package whose import brings the driver: that import loads the probe. The common
parts of one protocol's drivers are in ``families/``, those of all probes in ``toolkit/``.

A probe wraps its driver, learns a session's facts at connect, and records one compact record per call. The driver's own
call is never guarded: its values, types and exceptions reach the app unchanged. The probe's own code always is.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Protocol, Self

from backwatch.collector.runtime.record import CLIENT, Caller, Facts, Session
from backwatch.collector.runtime.systems import declare_systems
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters

ServiceKind = Literal[
    "SQL databases", "Caches and documents", "Queues", "HTTP, clouds, RPC", "Mail, files, directories"
]  # fmt: skip
"""Headings under which the documents list probes."""


class Recorder(Protocol):
    """Receives a probe's calls. Never raises, never blocks; redacts before anything is queued."""

    def record_call(
        self,
        session: Session,
        operation: str,
        *,
        start_ns: int,
        sql: object = None,
        statement: str = "",
        wire: SocketCounters | None = None,
        estimated: tuple[int, int] = UNKNOWN,
        rows_returned: int = -1,
        rows_affected: int = -1,
        error: BaseException | str | None = None,
        facts: Facts = (),
        kind: int = CLIENT,
        caller: Caller | None = None,
    ) -> None:
        """Record one call that ends now.

        Args:
            session: The connection's facts.
            operation: For example ``SELECT``; empty with ``sql``: its first word in upper case.
            start_ns: ``time.time_ns()`` before the driver was called.
            sql: The statement as the app passed it (str, bytes, text of a ``Composable``); scanned and redacted here.
            statement: Canonical text of a call that is not SQL, already free of values (see ``redaction/``).
            wire: The connection's byte counters; the difference since the last reading is this call's volume.
            estimated: Bytes sent and received, where they are not the kernel's count but the sum of what was passed:
                on a unix socket, or on a connection that several calls share. Reported as estimated; not with ``wire``.
            error: The exception that the driver raised, or the service's error code.
            facts: Further facts by their contract name.
            caller: The result of :meth:`capture_caller` where the call began. ``None``: the present stack.
        """
        ...

    def capture_caller(self) -> Caller | None:
        """Return the present caller, for a call whose end another thread will record; ``None`` where it is unknown."""
        ...


class Probe(ABC):
    """The probe of one client library.

    One instance per class, with the methods of OpenTelemetry's ``BaseInstrumentor``. It does not derive from it: that
    module imports ``asyncio``, ``ssl`` and ``wrapt``, which takes 36 ms of CPU at the start of every app.

    Attributes:
        name: Package name, and the name in ``BACKWATCH_DISABLED_PROBES``.
        module: The module whose import brings the driver.
        label: Display name of the client library.
        service_kind: Heading under which the documents list it.
        indicators: Response indicators that it finds in results; those of error texts may come with every driver.
        systems: Attribute of each ``Session.system`` that the encoder does not know and that is no database.
        distributions: Requirement strings of the distributions that provide it; the probe starts if one is met.
        facts: Contract names that this probe can report.
    """

    name: ClassVar[str]
    module: ClassVar[str]
    label: ClassVar[str]
    service_kind: ClassVar[ServiceKind]
    indicators: ClassVar[frozenset[str]] = frozenset()
    systems: ClassVar[Mapping[str, str]] = {}
    distributions: ClassVar[tuple[str, ...]]
    facts: ClassVar[frozenset[str]]

    _instance: ClassVar[Any] = None
    _is_installed = False

    def __new__(cls) -> Self:
        """Return the instance of this class, created at the first call."""
        if cls._instance is None:
            cls._instance = object.__new__(cls)
        return cls._instance

    @abstractmethod
    def install(self, recorder: Recorder) -> None:
        """Wrap the driver, which is imported by then."""

    @abstractmethod
    def remove(self) -> None:
        """Restore every attribute that ``install`` replaced, by the very same objects."""

    def instrument(self, *, recorder: Recorder, skip_dep_check: bool = True) -> None:  # noqa: ARG002
        """Install the probe, unless it is installed already.

        Args:
            recorder: Receives the calls.
            skip_dep_check: Ignored: :attr:`distributions` was checked before.
        """
        if not self._is_installed:
            declare_systems(self.systems)
            self.install(recorder)
            _instrumented.add(_root(self.module))
            self._is_installed = True

    def uninstrument(self) -> None:
        """Remove the probe, if it is installed."""
        if self._is_installed:
            _instrumented.discard(_root(self.module))
            self.remove()
            self._is_installed = False


_instrumented: set[str] = set()


def _root(module: str) -> str:
    return module.partition(".")[0]


def is_instrumented(module: str) -> bool:
    """Return whether a probe is installed in the library of this module: then the layers above it record nothing."""
    return _root(module) in _instrumented


def load_probes(package: str) -> list[type[Probe]]:
    """Return the probes of one package."""
    module = importlib.import_module(f"{__name__}.{package}")
    found = (value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Probe))
    return [value for value in found if value.__module__ == module.__name__]


def discover() -> Iterator[type[Probe]]:
    """Yield every probe of this folder, in the order of their package names."""
    import pkgutil  # not in an app, which loads the probes of what it imports

    for found in pkgutil.iter_modules(__path__):
        if found.name not in ("families", "toolkit"):
            yield from load_probes(found.name)
