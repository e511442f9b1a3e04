"""How watching begins: :func:`start` inside the app's process, :func:`run_command` for the command that starts the app.

``start`` is the entry point ``opentelemetry_pre_instrument``, so plain ``opentelemetry-instrument python app.py`` calls
it too. A driver is wrapped when the app imports it, never imported by us. No tracer provider or ``OTEL_*`` name is set.
"""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from backwatch.collector import settings
from backwatch.collector.bootstrap import import_hooks
from backwatch.collector.bootstrap.installed_drivers import is_supported
from backwatch.collector.runtime import environment as runtime_environment
from backwatch.collector.runtime import guard, processes, shutdown
from backwatch.collector.runtime.forks import hold_forks
from backwatch.collector.runtime.guard import never_breaks_the_host

if TYPE_CHECKING:
    from backwatch.collector.probes import Probe
    from backwatch.collector.probes.toolkit.patches import Patches
    from backwatch.collector.runtime.pipeline import Pipeline
    from backwatch.collector.stream import Publisher

LATER: Final = {"http": "http.client", "urllib": "urllib.request"}
"""Probes that wait for a module below the package they are named after, which many import for other reasons."""
INBOUND: Final = {"django": "django.core.handlers.base", "flask": "flask", "starlette": "starlette.applications"}
"""Frameworks whose requests' input is known (files of ``request/``), and the module to wait for."""
EXIT_NOT_FOUND: Final = 127
EXIT_NOT_EXECUTABLE: Final = 126
BOOTSTRAP: Final = Path(__file__).parent / "on_path"
PROBES: Final = Path(__file__).parents[1] / "probes"
NO_PROBES: Final = frozenset(("families", "toolkit"))
"""Packages beside the probes, with what they share."""
_ONE: Final = "the one"

_settings: settings.CollectorSettings | None = None
"""What :func:`start` was told; ``None`` where nothing is watched."""
_refusal = ""
"""The last setting that was refused, so that it is reported once."""
_pipelines: "dict[str, Pipeline]" = {}
"""The one pipeline, where there is one: of threads that come at once, a dictionary has one winner without a lock."""
_active: dict[str, "Probe"] = {}
"""Probes that are installed, by name."""
_inbound: list["Patches"] = []
"""What was replaced in frameworks."""


@never_breaks_the_host
def start() -> None:
    """Begins to watch this process. Does nothing where that is begun already, or ``BACKWATCH_ENABLED`` says false.

    Light: a probe, and all that records for it, is loaded when the app imports its driver. Until then nothing of
    OpenTelemetry is imported either, whose helpers bring ``ssl``, which must not be there before ``gevent`` patches it.
    """
    global _settings
    if _settings is not None:
        return
    _settings = _load_settings()
    if _settings is not None:
        runtime_environment.remember_environment()
        processes.prepare_shared_page()  # before any fork, so that children see each other
        files = probe_files()
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
        if str(error) != _refusal:  # both hooks of opentelemetry-instrument come here
            _refusal = str(error)
            guard.log("backwatch: %s; the application runs unwatched", error)
        return None
    if not mine.enabled:
        return None
    unknown = settings.unknown_names(settings.names_of(*settings.ALL))
    if unknown:
        guard.log("backwatch: no such setting, ignored: %s", ", ".join(unknown[:10]))
    return mine


def begin_pipeline() -> "Pipeline | None":
    """This process's pipeline, made where there is none; ``None`` where the settings forbid it. Wraps no driver."""
    pipeline = _pipelines.get(_ONE)
    if pipeline is None:
        mine = _settings or _load_settings()
        if mine is None:
            return None
        from backwatch.collector.runtime.pipeline import Pipeline

        made = Pipeline(mine, _publisher)
        pipeline = _pipelines.setdefault(_ONE, made)
        if pipeline is not made:
            made.close()
    return pipeline


def _publisher() -> "Publisher":
    with hold_forks():
        from backwatch.collector.stream import publisher_of

        opens = publisher_of(settings.load(settings.StreamSettings))
    return opens()


def probe_files() -> list[str]:
    """Names of the probes' files, which are the names of the modules to wait for; nothing is imported."""
    found = {path.stem for path in PROBES.iterdir() if path.suffix in ("", ".py") and not path.stem.startswith("_")}
    return sorted(found - NO_PROBES)


def _loader(file: str) -> Callable[[ModuleType], object]:
    """What happens when the driver comes in: its probes are loaded, and installed or wait for their own module."""

    def load(_module: ModuleType) -> None:
        from backwatch.collector.probes import load_probes

        for probe in load_probes(file):
            import_hooks.on_import(probe.module, _installer(probe))

    load.__qualname__ = f"the probe of {file}"
    return never_breaks_the_host(load)


def _installer(probe: "type[Probe]") -> Callable[[ModuleType], object]:
    def install(_module: ModuleType) -> None:
        pipeline = begin_pipeline()
        if pipeline is None or probe.name in _active:
            return
        if not is_supported(probe.distributions):
            guard.log("backwatch: %s is not watched: it is none of %s", probe.name, ", ".join(probe.distributions))
            return
        one = probe()
        try:
            one.instrument(recorder=pipeline, skip_dep_check=True)
        except BaseException:
            never_breaks_the_host(one.remove)()
            raise
        _active[probe.name] = one

    install.__qualname__ = f"the probe of {probe.name}"
    return never_breaks_the_host(install)


def _framework(file: str) -> Callable[[ModuleType], object]:
    """What happens when a web framework comes in: the input of its requests becomes known."""

    def install(_module: ModuleType) -> None:
        from backwatch.collector.probes.toolkit.patches import Patches

        patches = Patches()
        _inbound.append(patches)
        importlib.import_module(f"backwatch.collector.request.{file}").install(patches)

    install.__qualname__ = f"the requests of {file}"
    return never_breaks_the_host(install)


def active_probes() -> frozenset[str]:
    """Names of the probes that are installed in this process."""
    return frozenset(_active)


def current_pipeline() -> "Pipeline | None":
    """What this process records into; ``None`` before the first driver was imported and after :func:`stop`."""
    return _pipelines.get(_ONE)


@never_breaks_the_host
def stop() -> None:
    """Leaves the process as it was: every driver unwrapped, the last calls delivered."""
    global _settings
    pipeline, _settings = _pipelines.pop(_ONE, None), None
    runtime_environment.forget_environment()
    import_hooks.forget()
    shutdown.run_hooks()  # while the probes still have whom to tell
    while _active:
        _, probe = _active.popitem()
        never_breaks_the_host(probe.uninstrument)()
    while _inbound:
        never_breaks_the_host(_inbound.pop().restore)()
    if pipeline is not None:
        pipeline.close()


def environment_for(environment: dict[str, str]) -> dict[str, str]:
    """The environment in which every Python below starts watched: our folder in front of ``PYTHONPATH``, nothing else.

    An empty entry of ``PYTHONPATH`` would mean the working directory, whose modules would then hide installed ones.
    """
    told = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(BOOTSTRAP)]
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join([str(BOOTSTRAP), *told]),
        "_BACKWATCH_RUN": str(os.getpid()),
    }


def run_command(argv: Sequence[str]) -> None:
    """Becomes the command, watched. Returns only by :class:`SystemExit`, where the command cannot be started."""
    try:
        watched = settings.load(settings.CollectorSettings).enabled
    except settings.SettingError as error:
        sys.stderr.write(f"backwatch: {error}; the application runs unwatched\n")
        watched = False
    environment = environment_for(dict(os.environ)) if watched else dict(os.environ)
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
