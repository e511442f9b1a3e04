"""A temporary copy of the project under git, in which a test really adds something."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from numba.core.caching import UserProvidedCacheLocator

from tests.services.process import ROOT

PLACE = ROOT / ".tools" / "grown"
"""Always the same, with the files' times kept: so the kernels that were compiled for the last copy serve the next."""
KERNELS = ROOT / ".tools" / "state" / "backwatch" / "numba"
MEMBERS = ("collector", "store", "detector", "notify", "dashboard", "attack", "resource")
SITE_PACKAGES = "lib/site-packages"
"""Folder of the copy for client libraries that a test adds."""
TIMEOUT_S = 600
GENERATED = (".md",)
"""Suffixes of files that ``tools/docs.py`` writes."""


class GrownCopy:
    """The project's files as git lists them, committed, so that git shows every later change.

    Attributes:
        path: Folder of the copy.
    """

    def __init__(self) -> None:
        self.path = PLACE
        self.remove()
        for name in _git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
            if name and (ROOT / name).exists():
                (PLACE / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, PLACE / name)
        (PLACE / ".tools").mkdir()
        (PLACE / ".tools" / "state").symlink_to(ROOT / ".tools" / "state")
        _link_kernels()
        _git(PLACE, "init", "--quiet")
        _git(PLACE, "add", "--all")
        author = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        _git(PLACE, *author, "commit", "--quiet", "--no-verify", "--message", "Before")

    def add(self, name: str, text: str) -> None:
        """Write a new file."""
        path = self.path / name
        assert not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def add_folder(self, folder: Path) -> None:
        """Copy all files of a folder to the same places in the copy."""
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                self.add(str(path.relative_to(folder)), path.read_text())

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run Python in the copy, with the copy's code."""
        sources = [f"{member}/src" for member in MEMBERS]
        paths = os.pathsep.join(str(self.path / place) for place in (*sources, SITE_PACKAGES, "."))
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.path, capture_output=True, text=True, check=False, timeout=TIMEOUT_S,
            env={**os.environ, "PYTHONPATH": paths, **environment},
        )  # fmt: skip

    def backwatch(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the command of the copy."""
        return self.run("-m", "backwatch.collector", *arguments, **environment)

    def pytest(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run tests of the copy, within the run that is under way."""
        inner = {name: value for name, value in os.environ.items() if name.startswith("PYTEST_XDIST")}
        options = ("-q", "-n", "0", "-p", "no:cacheprovider")
        return self.run("-m", "pytest", *options, *arguments, **{"PYTEST_XDIST_WORKER": "grown", **inner})

    def list_changed(self) -> list[str]:
        """Return the files of the first commit that differ now, without generated documents."""
        names = _git(self.path, "diff", "--name-only", "HEAD").splitlines()
        return [name for name in names if not name.endswith(GENERATED)]

    def list_added(self) -> list[str]:
        """Return the new files."""
        return _git(self.path, "ls-files", "--others", "--exclude-standard").splitlines()

    def remove(self) -> None:
        """Delete the copy."""
        shutil.rmtree(self.path, ignore_errors=True)


def _link_kernels() -> None:
    """Let the copy use the kernels of the project: to compile all of them takes a minute.

    Numba names a kernel's cache after the folder of its source; a changed source has another stamp.
    """
    for folder in sorted({path.parent for path in (PLACE / "detector").rglob("*.py")}):
        name = UserProvidedCacheLocator.get_suitable_cache_subpath(str(ROOT / folder.relative_to(PLACE) / "any.py"))
        name_in_copy = UserProvidedCacheLocator.get_suitable_cache_subpath(str(folder / "any.py"))
        for cached in KERNELS.glob(f"*/{name}/*"):
            wanted = cached.parents[1] / name_in_copy / cached.name
            wanted.parent.mkdir(exist_ok=True)
            if not wanted.exists():
                wanted.hardlink_to(cached)


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout
