"""The OpenTelemetry Collector from its own builder (``tools/servers.sh``), with the test's pipeline."""

import contextlib
import json
from collections.abc import Generator, Mapping
from typing import Any

from tests.services.process import ROOT, private_folder, run_process, write
from tests.services.server import MissingServerError, accepts

TOOLS = ROOT / ".tools"
JARS = TOOLS / "java"
"""The OpenTelemetry Java agent, and the drivers of the Java app of the tests."""


def program() -> str:
    """Return the path of the Collector.

    Raises:
        MissingServerError: It was not built.
    """
    found = TOOLS / "bin" / "otelcol"
    if not found.exists():
        raise MissingServerError("otelcol: no .tools/bin/otelcol (`make test` builds it with Go)")
    return str(found)


def java_agent() -> str:
    """Return the path of the Java agent; :data:`JARS` is the class path of programs under it.

    Raises:
        MissingServerError: It was not fetched.
    """
    for found in JARS.glob("opentelemetry-javaagent-*.jar"):
        return str(found)
    raise MissingServerError("java: no jars in .tools/java (`make test` fetches them with Maven)")


@contextlib.contextmanager
def run_collector(program: str, receiver: Mapping[str, Any], exporter: Mapping[str, Any], port: int) -> Generator[None]:
    """Run a Collector that receives traces and forwards them, until the end of the block.

    Args:
        program: Its path.
        receiver: One receiver by its name and its configuration.
        exporter: One exporter likewise.
        port: Of its own metrics; it responds once the pipelines have been started.
    """
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": port}}}}
    configuration = {
        "receivers": receiver, "exporters": exporter,
        "service": {
            "pipelines": {"traces": {"receivers": list(receiver), "exporters": list(exporter)}},
            "telemetry": {"metrics": {"readers": [reader]}},
        },
    }  # fmt: skip
    with private_folder("otelcol") as folder:
        file = write(folder / "config.json", json.dumps(configuration))  # JSON is YAML
        with run_process([program, "--config", str(file)], folder=folder, ready=accepts(port)):
            yield
