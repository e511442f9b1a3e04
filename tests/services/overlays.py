"""Other driver versions than the environment's, each in a folder that goes in front on ``PYTHONPATH``."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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
