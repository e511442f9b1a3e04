"""How watching begins: :func:`start` inside the app's process, :func:`run_command` for the command that starts the app.

``start`` is the entry point ``opentelemetry_pre_instrument``, so plain ``opentelemetry-instrument python app.py`` calls
it too. A driver is wrapped when the app imports it, never imported by us. No tracer provider or ``OTEL_*`` name is set.
"""

import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backwatch.collector import settings
from backwatch.collector.guard import never_breaks_the_host

if TYPE_CHECKING:
    from backwatch.collector.pipeline import Pipeline
    from backwatch.collector.probes import Probe
    from backwatch.collector.stream import Publisher

EXIT_NOT_FOUND: Final = 127
EXIT_NOT_EXECUTABLE: Final = 126
BOOTSTRAP: Final = Path(__file__).parent / "bootstrap"

logger = logging.getLogger("backwatch")

_pipeline: "Pipeline | None" = None
_active: dict[str, "Probe"] = {}
"""Probes that are installed, by name."""


@never_breaks_the_host
def start() -> None:
    """Begins to watch this process. Does nothing where that is begun already, or ``BACKWATCH_ENABLED`` says false."""
    global _pipeline
    if _pipeline is not None:
        return
    try:
        mine = settings.load(settings.CollectorSettings)
        stream = settings.load(settings.StreamSettings)
    except settings.SettingError as error:
        logger.warning("backwatch: %s; the application runs unwatched", error)
        return
    if not mine.enabled:
        return
    unknown = settings.unknown_names(settings.names_of(*settings.ALL))
    if unknown:
        logger.warning("backwatch: no such setting, ignored: %s", ", ".join(unknown[:10]))

    from backwatch.collector.pipeline import Pipeline

    _pipeline = Pipeline(mine, lambda: _publisher(stream))
    _watch(_pipeline, frozenset(mine.disabled_probes))


def _publisher(stream: settings.StreamSettings) -> "Publisher":
    from backwatch.collector.stream import open_publisher

    return open_publisher(stream)


def _watch(pipeline: "Pipeline", disabled: frozenset[str]) -> None:
    """Installs each probe now, if its driver has been imported, or at that import."""
    import wrapt

    from backwatch.collector.probes import discover

    for probe in discover():
        if probe.name not in disabled:
            wrapt.register_post_import_hook(_installer(probe, pipeline), probe.module)


def _installer(probe: "type[Probe]", pipeline: "Pipeline") -> Any:
    @never_breaks_the_host
    def install(_module: Any) -> None:
        # A hook cannot be taken back: after stop() it finds another pipeline in force, or none.
        if _pipeline is not pipeline or probe.name in _active:
            return
        if not _supported(probe.distributions):
            logger.warning("backwatch: %s is not watched: it is none of %s", probe.name, ", ".join(probe.distributions))
            return
        one = probe()
        try:
            one.instrument(recorder=pipeline, skip_dep_check=True)
        except BaseException:
            never_breaks_the_host(one.remove)()
            raise
        _active[probe.name] = one

    return install


def _supported(requirements: Sequence[str]) -> bool:
    """Whether any of these requirement strings is met; none at all is the standard library."""
    if not requirements:
        return True
    from packaging.requirements import InvalidRequirement, Requirement

    for text in requirements:
        try:
            wanted = Requirement(text)
            if wanted.specifier.contains(version(wanted.name), prereleases=True):
                return True
        except (PackageNotFoundError, InvalidRequirement):
            continue
    return False


def active_probes() -> frozenset[str]:
    """Names of the probes that are installed in this process."""
    return frozenset(_active)


def current_pipeline() -> "Pipeline | None":
    """What this process records into; ``None`` before :func:`start` and after :func:`stop`."""
    return _pipeline


@never_breaks_the_host
def stop() -> None:
    """Leaves the process as it was: every driver unwrapped, the last calls delivered."""
    global _pipeline
    pipeline, _pipeline = _pipeline, None
    while _active:
        _, probe = _active.popitem()
        never_breaks_the_host(probe.uninstrument)()
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
