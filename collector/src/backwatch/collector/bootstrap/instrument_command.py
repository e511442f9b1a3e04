"""A hook in the ``opentelemetry-instrument`` command that starts the collector even if OpenTelemetry fails.

OpenTelemetry calls its entry points ``opentelemetry_pre_instrument`` only after its distro and its configurator. If one
of these fails (usually a distro without its OTLP exporter), nothing of this package would run, and nothing would report
it. The command loads the entry points ``opentelemetry_environment_variables`` before it executes the app; this module
is one of them. It waits for the ``exec`` and then puts the folder ``bootstrap/on_path/`` in front of ``PYTHONPATH``, as
``backwatch run`` does. In the app, ``bootstrap/on_path/sitecustomize.py`` runs OpenTelemetry's and then starts the
collector.
"""

import os
import sys
from typing import Final

from backwatch.collector.runtime.guard import never_breaks_the_host

_COMMAND: Final = "opentelemetry.instrumentation.auto_instrumentation"


def on_audit_event(event: str, _arguments: tuple[object, ...]) -> None:
    """Prepare the app's environment right before the command executes the app."""
    if event == "os.exec":
        _put_bootstrap_first()


@never_breaks_the_host
def _put_bootstrap_first() -> None:
    from backwatch.collector.bootstrap.start import extend_environment

    os.environ.update(extend_environment(dict(os.environ)))


# Only in that command's process: others may load these entry points to list them.
if _COMMAND in sys.modules:
    sys.addaudithook(on_audit_event)
