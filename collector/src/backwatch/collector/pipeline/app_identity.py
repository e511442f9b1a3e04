"""The app's identity: from OpenTelemetry, otherwise ``BACKWATCH_APP``, otherwise the script's name.

The resource of the app's own tracer provider comes first, because an app may name itself in code. Next come
``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES``, parsed here: the SDK's detection takes locks in a thread pool,
and a process that forks meanwhile leaves its children with locks that are held for ever (docs/adr/0025). The provider
is not read through its public getter, which could load and install one.
"""

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from backwatch.collector import names
from backwatch.collector.configuration import environment as runtime_environment
from backwatch.collector.pipeline.app_release import find_release

MAX_TEXT: Final = 200
UNKNOWN: Final = "unknown_service"
_KEPT: Final = (names.SERVICE_NAMESPACE, names.SERVICE_RELEASE, names.ENVIRONMENT)
_OLDER_ENVIRONMENT: Final = "deployment.environment"


class App(NamedTuple):
    """The app that makes the calls.

    Attributes:
        attributes: OTLP resource attributes, including service.name, in a fixed order.
    """

    name: str
    namespace: str
    environment: str
    attributes: tuple[tuple[str, str | int], ...]

    @property
    def key(self) -> str:
        """The app's key text: ``namespace/name/environment`` without empty parts."""
        return "/".join(part for part in (self.namespace, self.name, self.environment) if part)


def get_tracer_provider() -> object | None:
    """Return the app's own tracer provider without creating one, or ``None``."""
    api = sys.modules.get("opentelemetry.trace")
    return getattr(api, "_TRACER_PROVIDER", None)


def get_script_name() -> str:
    """Return the program's name: ``app`` for ``python app.py``, ``pkg`` for ``python -m pkg``."""
    path = PurePath((getattr(sys, "argv", None) or [""])[0])
    if path.name in ("__main__.py", "__init__.py"):
        path = path.parent
    name = path.name.removesuffix(".py")
    return name if name and name != "-c" else PurePath(sys.executable or "python").name


def identify(fallback: str = "") -> App:
    """Identify the app from the environment and its tracer provider. Not for the threads of the app.

    Args:
        fallback: The name if OpenTelemetry has none (``BACKWATCH_APP``).
    """
    found: dict[str, Any] = {
        **parse_environment_attributes(runtime_environment.environment()),
        **_attributes_of(get_tracer_provider()),
    }
    name = _text(found.get(names.SERVICE_NAME))
    if not name or name.startswith(UNKNOWN):
        name = _text(fallback) or _text(get_script_name())
    host_name = socket.gethostname()
    if not _text(found.get(names.SERVICE_RELEASE)):
        found[names.SERVICE_RELEASE] = find_release(runtime_environment.environment(), host_name)
    found[names.ENVIRONMENT] = found.get(names.ENVIRONMENT) or found.get(_OLDER_ENVIRONMENT)
    attributes: list[tuple[str, str | int]] = [(names.SERVICE_NAME, name)]
    attributes += [(key, _text(found[key])) for key in _KEPT if _text(found.get(key))]
    attributes += [("host.name", _text(host_name)), ("process.pid", os.getpid())]
    return App(name, _text(found.get(names.SERVICE_NAMESPACE)), _text(found.get(names.ENVIRONMENT)), tuple(attributes))


def parse_environment_attributes(environment: Mapping[str, str]) -> dict[str, str]:
    """Parse ``OTEL_RESOURCE_ATTRIBUTES`` and ``OTEL_SERVICE_NAME`` as the SDK does.

    Values are percent-decoded. Pairs without ``=`` are skipped. ``OTEL_SERVICE_NAME`` takes precedence.
    """
    found: dict[str, str] = {}
    for pair in environment.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, separator, value = pair.partition("=")
        if separator:
            found[key.strip()] = unquote(value.strip())
    if service_name := environment.get("OTEL_SERVICE_NAME"):
        found[names.SERVICE_NAME] = service_name
    return found


def _attributes_of(provider: object | None) -> dict[str, Any]:
    attributes = getattr(getattr(provider, "resource", None), "attributes", None)
    return dict(attributes) if attributes else {}


def _text(value: object) -> str:
    return value[:MAX_TEXT].replace("\x1f", " ") if isinstance(value, str) else ""
