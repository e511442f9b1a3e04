"""Runs a sample app under watch and audits its account; proves that a script suffices and that no line is spare."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from backwatch.collector.cli import main

APPS = Path(__file__).with_name("apps")


def record(app: str, url: str, folder: Path) -> dict[str, str]:
    """Run ``apps/NAME.py URL`` under watch; return the environment whose stream holds its calls."""
    stream = {"BACKWATCH_STREAM_URL": f"sqlite:///{folder / 'stream.db'}"}
    command = [sys.executable, "-m", "backwatch.collector", "run", "--", sys.executable, str(APPS / f"{app}.py"), url]
    ran = subprocess.run(
        command, env=os.environ | stream | {"BACKWATCH_APP": "shop"}, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return stream


def audit(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Run ``backwatch audit``; return its exit code and output."""
    ran = CliRunner().invoke(main, ["audit", *arguments], env=environment, catch_exceptions=False)
    return ran.exit_code, ran.output


def audit_json(environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    """Run ``backwatch audit --json``; return its object."""
    code, output = audit(environment, *arguments, "--json")
    assert code in (0, 3), output
    return json.loads(output)


def find_spare(lines: Sequence[str], drop: Callable[[str], object], restore: Callable[[str], object],
               works: Callable[[], bool]) -> list[str]:  # fmt: skip
    """Return the lines without which the app still works; each is dropped, tried and restored."""
    spare: list[str] = []
    for line in lines:
        drop(line)
        try:
            if works():
                spare.append(line)
        finally:
            restore(line)
    return spare
