"""The start of the collector: :func:`start` inside the app's process, :func:`run_command` to start an app.

``start`` is the entry point ``opentelemetry_pre_instrument``, so plain ``opentelemetry-instrument python app.py`` calls
it, too. A driver is wrapped when the app imports it; the collector never imports one. It sets no tracer provider and no
``OTEL_*`` variable.
"""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from backwatch.collector import settings
from backwatch.collector.bootstrap.installed_drivers import is_supported
from backwatch.collector.configuration import environment as runtime_environment
from backwatch.collector.runtime import guard, import_hooks, processes, shutdown
from backwatch.collector.runtime.forks import hold_forks
from backwatch.collector.runtime.guard import never_breaks_the_host

if TYPE_CHECKING:
    from backwatch.collector.pipeline.pipeline import Pipeline
    from backwatch.collector.probes import Probe
    from backwatch.collector.probes.toolkit.patches import Patches
    from backwatch.collector.stream import Publisher

LATER: Final = {"http": "http.client", "urllib": "urllib.request"}
"""Probes that wait for a module below their package, because many apps import the package for other reasons."""
INBOUND: Final = {"django": "django.core.handlers.base", "flask": "flask", "starlette": "starlette.applications"}
"""Frameworks whose request input is recorded (files of ``request/``), and the module to wait for."""
EXIT_NOT_FOUND: Final = 127
EXIT_NOT_EXECUTABLE: Final = 126
BOOTSTRAP: Final = Path(__file__).parent / "on_path"
PROBES: Final = Path(__file__).parents[1] / "probes"
NO_PROBES: Final = frozenset(("families", "toolkit"))
"""Packages beside the probes, with their shared code."""
_ONE: Final = "the one"

_settings: settings.CollectorSettings | None = None
"""The settings of :func:`start`; ``None`` if the app is not watched."""
_refusal = ""
"""The last refused setting, so that it is reported once."""
_pipelines: "dict[str, Pipeline]" = {}
"""The pipeline, if there is one. In a dictionary, ``setdefault`` lets one of several threads win without a lock."""
_open_publisher: "Callable[[], Publisher] | None" = None
"""Opens the publisher in place of the stream's; ``None``: the stream of the settings."""
_active: dict[str, "Probe"] = {}
"""Installed probes by name."""
_inbound: list["Patches"] = []
"""Patches of web frameworks."""


@never_breaks_the_host
def start(open_publisher: "Callable[[], Publisher] | None" = None) -> None:
    """Start watching this process, unless it is watched already or ``BACKWATCH_ENABLED`` is false.

    This is light: a probe and the pipeline are loaded when the app imports the probe's driver. Until then nothing of
    OpenTelemetry is imported either, whose helpers import ``ssl``, which ``gevent`` must patch first.

    Args:
        open_publisher: Opens what takes the place of the stream, on the worker's thread; ``None``: the stream of the
            settings.
    """
    global _settings, _open_publisher
    if _settings is not None:
        return
    _open_publisher = open_publisher
    _settings = _load_settings()
    if _settings is not None:
        runtime_environment.remember_environment()
        processes.prepare_shared_page()  # before any fork, so that children see each other
        files = list_probe_packages()
        for name in set(_settings.disabled_probes).difference(files):
            guard.log("backwatch: BACKWATCH_DISABLED_PROBES=%r: no such probe, ignored", name[:100])
        for file in files:
            if file not in _settings.disabled_probes:
                import_hooks.on_import(LATER.get(file, file), _loader(file))
        for file, module in INBOUND.items():
            import_hooks.on_import(module, _framework(file))


def _load_settings() -> settings.CollectorSettings | None:
    global _refusal
    try:
        mine = settings.load(settings.CollectorSettings)
        settings.load(settings.StreamSettings)
    except settings.SettingError as error:
        if str(error) != _refusal:  # both hooks of opentelemetry-instrument call this
            _refusal = str(error)
            guard.log("backwatch: %s; the application runs unwatched", error)
        return None
    if not mine.enabled:
        return None
    unknown = settings.unknown_names(settings.names_of(*settings.ALL))
    if unknown:
        guard.log("backwatch: no such setting, ignored: %s", ", ".join(unknown[:10]))
    return mine


def start_pipeline() -> "Pipeline | None":
    """Return this process's pipeline, created if necessary; ``None`` if the settings forbid it. Wraps no driver."""
    pipeline = _pipelines.get(_ONE)
    if pipeline is None:
        mine = _settings or _load_settings()
        if mine is None:
            return None
        from backwatch.collector.pipeline.pipeline import Pipeline

        made = Pipeline(mine, _open_publisher or _publisher)
        pipeline = _pipelines.setdefault(_ONE, made)
        if pipeline is not made:
            made.close()
    return pipeline


def _publisher() -> "Publisher":
    with hold_forks():
        from backwatch.collector.stream.factory import prepare_publisher

        opens = prepare_publisher(settings.load(settings.StreamSettings))
    return opens()


def list_probe_packages() -> list[str]:
    """Return the names of the probes' packages, which are the modules to wait for. Imports nothing."""
    found = {path.stem for path in PROBES.iterdir() if path.suffix in ("", ".py") and not path.stem.startswith("_")}
    return sorted(found - NO_PROBES)


def _loader(file: str) -> Callable[[ModuleType], object]:
    """Return a callback that loads the probes of a package; each is installed when its own module is imported."""

    def load(_module: ModuleType) -> None:
        from backwatch.collector.probes import load_probes

        for probe in load_probes(file):
            import_hooks.on_import(probe.module, _installer(probe))

    load.__qualname__ = f"the probe of {file}"
    return never_breaks_the_host(load)


def _installer(probe: "type[Probe]") -> Callable[[ModuleType], object]:
    def install(_module: ModuleType) -> None:
        pipeline = start_pipeline()
        if pipeline is None or probe.name in _active:
            return
        if not is_supported(probe.distributions):
            guard.log("backwatch: %s is not watched: it is none of %s", probe.name, ", ".join(probe.distributions))
            return
        instance = probe()
        try:
            instance.instrument(recorder=pipeline, skip_dep_check=True)
        except BaseException:
            never_breaks_the_host(instance.remove)()
            raise
        _active[probe.name] = instance

    install.__qualname__ = f"the probe of {probe.name}"
    return never_breaks_the_host(install)


def _framework(file: str) -> Callable[[ModuleType], object]:
    """Return a callback that records the input of a web framework's requests."""

    def install(_module: ModuleType) -> None:
        from backwatch.collector.probes.toolkit.patches import Patches

        patches = Patches()
        _inbound.append(patches)
        importlib.import_module(f"backwatch.collector.request.{file}").install(patches)

    install.__qualname__ = f"the requests of {file}"
    return never_breaks_the_host(install)


def get_active_probes() -> frozenset[str]:
    """Return the names of the probes that are installed in this process."""
    return frozenset(_active)


def get_pipeline() -> "Pipeline | None":
    """Return this process's pipeline; ``None`` before the first driver is imported and after :func:`stop`."""
    return _pipelines.get(_ONE)


@never_breaks_the_host
def stop() -> None:
    """Restore the process: unwrap every driver and deliver the last calls."""
    global _settings, _open_publisher
    pipeline, _settings, _open_publisher = _pipelines.pop(_ONE, None), None, None
    runtime_environment.forget_environment()
    import_hooks.clear()
    shutdown.run_hooks()  # while the probes still have a recorder
    while _active:
        _, probe = _active.popitem()
        never_breaks_the_host(probe.uninstrument)()
    while _inbound:
        never_breaks_the_host(_inbound.pop().restore)()
    if pipeline is not None:
        pipeline.close()


def extend_environment(environment: dict[str, str]) -> dict[str, str]:
    """Return an environment in which every Python process is watched: only ``PYTHONPATH`` is extended.

    Empty entries are removed: they mean the working directory, whose modules would then hide installed ones.
    """
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(BOOTSTRAP)]
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join([str(BOOTSTRAP), *paths]),
        "_BACKWATCH_RUN": str(os.getpid()),
    }


def run_command(argv: Sequence[str]) -> None:
    """Execute the command, watched. Raises :class:`SystemExit` if the command cannot be started."""
    try:
        watched = settings.load(settings.CollectorSettings).enabled
    except settings.SettingError as error:
        sys.stderr.write(f"backwatch: {error}; the application runs unwatched\n")
        watched = False
    environment = extend_environment(dict(os.environ)) if watched else dict(os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(argv[0], list(argv), environment)  # noqa: S606  no shell is wanted
    except FileNotFoundError:
        sys.stderr.write(f"backwatch: {argv[0]}: command not found\n")
        raise SystemExit(EXIT_NOT_FOUND) from None
    except OSError as error:
        sys.stderr.write(f"backwatch: {argv[0]}: {error.strerror}\n")
        raise SystemExit(EXIT_NOT_EXECUTABLE) from None
