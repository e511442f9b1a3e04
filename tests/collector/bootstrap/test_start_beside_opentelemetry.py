"""``opentelemetry-instrument`` with a distro whose configuration fails: the app is still observed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.collector.bootstrap.test_run import APP, BIN, statements
from tests.system.commands import environment

DISTRO = """
import os
from opentelemetry.instrumentation.distro import BaseDistro
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

class Distro(BaseDistro):
    def _configure(self, **kwargs):
        if os.environ.get("FAIL") == "distro":
            raise RuntimeError("no distro")
        # As opentelemetry-distro does; the package that holds this exporter is another one.
        os.environ.setdefault("OTEL_TRACES_EXPORTER", "otlp")
        os.environ.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")

class Configurator(_OTelSDKConfigurator):
    pass
"""
ENTRY_POINTS = """
[opentelemetry_distro]
distro = some_distro:Distro

[opentelemetry_configurator]
configurator = some_distro:Configurator
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Create a folder with an installed distro, as ``site-packages`` would have it."""
    folder = tmp_path / "packages"
    metadata = folder / "some_distro-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "some_distro.py").write_text(DISTRO)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: some-distro\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def run_instrumented(
    folder: Path, packages: Path, *command: str, **settings: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command under ``opentelemetry-instrument`` in the folder, which holds an ``app.py``."""
    (folder / "app.py").write_text(APP)
    variables = environment({
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(packages), "HOME": str(folder),
        "BACKWATCH_STREAM_URL": f"sqlite:///{folder}/stream.db", **settings,
    })  # fmt: skip
    return subprocess.run(
        ["opentelemetry-instrument", *command], cwd=folder, env=variables, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("failing", ["configurator", "distro"])
def test_app_is_watched_though_opentelemetry_cannot_be_configured(tmp_path: Path, packages: Path, failing: str) -> None:
    done = run_instrumented(tmp_path, packages, "python", "app.py", FAIL=failing)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "Failed to auto initialize OpenTelemetry" in done.stderr
    assert statements(tmp_path) == ["SELECT ? + ?"]


def test_children_of_such_an_app_are_watched(tmp_path: Path, packages: Path) -> None:
    (tmp_path / "parent.py").write_text(
        "import subprocess, sys\nsubprocess.run([sys.executable, 'app.py'], check=True)\n"
    )
    done = run_instrumented(tmp_path, packages, "python", "parent.py")
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert statements(tmp_path) == ["SELECT ? + ?"]


def test_opentelemetry_configures_its_provider_unchanged(tmp_path: Path, packages: Path) -> None:
    look = "import opentelemetry.trace as api; print(type(api._TRACER_PROVIDER).__name__)"
    done = run_instrumented(tmp_path, packages, sys.executable, "-c", look, OTEL_TRACES_EXPORTER="none",
                            OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none")  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "TracerProvider\n"), done.stderr
