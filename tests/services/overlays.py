"""Other driver versions than the environment's, each in a folder that goes in front on ``PYTHONPATH``."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.services.process import ROOT
from tests.services.server import Server, to_environment

OVERLAID = "BACKWATCH_TEST_OVERLAID"
"""Set in a process that tests another version of a driver."""
not_overlaid = pytest.mark.skipif(OVERLAID in os.environ, reason="another version of the driver is in front")


def overlay(*requirements: str) -> Path:
    """Return a folder with exactly these distributions, made once; skip the test if they are unavailable.

    It is called ``site-packages``, or its frames would be taken for the app's own code.
    """
    folder = ROOT / ".tools" / "overlays" / "+".join(requirements) / "site-packages"
    if not folder.exists():
        uv = shutil.which("uv", path=os.pathsep.join([str(ROOT / ".tools/uv/bin"), os.environ.get("PATH", "")]))
        making = folder.with_name(f"{folder.name}.{os.getpid()}")
        if uv is None or subprocess.run(
            [uv, "pip", "install", "-q", "--python", sys.executable, "--no-deps", "--target", making, *requirements],
            capture_output=True, check=False, timeout=300,
        ).returncode:  # fmt: skip
            shutil.rmtree(making, ignore_errors=True)
            pytest.skip(f"{' '.join(requirements)} cannot be installed here")
        if not folder.exists():
            making.rename(folder)
    return folder


def run_tests_with(requirements: Sequence[str], probe: str, *servers: Server, select: str = "") -> None:
    """Run the probe's tests and its contract in a process with these distributions in front, on the same servers.

    ``select`` is pytest's ``-k`` if it differs from the probe's name.
    """
    files = sorted((ROOT / "tests/collector/probes").glob(f"**/test_{probe}*.py"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", *files,
         "tests/contract/test_every_probe.py", "-k", select or probe],
        cwd=ROOT, capture_output=True, text=True, timeout=380,
        env={**os.environ, **{name: value for server in servers for name, value in to_environment(server).items()},
             "PYTHONPATH": str(overlay(*requirements)), OVERLAID: "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
