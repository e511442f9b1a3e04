"""Suites of apps that tests run with the plugin, each in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

PLUGIN = "backwatch.detector.testing.plugin"


def run_pytest(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None, strict: bool = True
) -> tuple[int, str]:
    """Run pytest in a folder, where it fails on warnings if it is ``strict``; return its exit code and its output."""
    loads = [] if list(entry_points(group="pytest11", name="backwatch")) else ["-p", PLUGIN]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *loads, "-p", "no:cacheprovider", "-W", "error" if strict else "ignore",
         *arguments],
        cwd=folder, capture_output=True, text=True, timeout=280, check=False,
        env={**os.environ, "COLUMNS": "200", **(environment or {})},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def write_suite(folder: Path, **files: str) -> Path:
    """Write the files of an app, by their names without suffix."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
