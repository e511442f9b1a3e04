"""A disk of a megabyte or two that tests fill up."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from tests.services.server import MissingServerError


@dataclass(frozen=True, slots=True)
class Disk:
    """A small separate file system."""

    folder: Path

    def fill(self) -> None:
        """Leave no room for a single byte more."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            for size in (65_536, 4_096, 1):
                try:
                    while True:
                        filler.write(b"\0" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        """Free the space again."""
        (self.folder / "filler").unlink()

    def remount(self, option: str) -> None:
        """Change its mount options: ``ro`` makes it read-only."""
        subprocess.run(["mount", "-o", f"remount,{option}", str(self.folder)], check=True)


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int = 4_000_000) -> Generator[Disk]:
    """Mount a small file system there until the end of the block.

    Raises:
        MissingServerError: Mounting is not permitted here.
    """
    if os.geteuid():
        raise MissingServerError("a small disk: only root may mount one")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        raise MissingServerError(f"a small disk: {mounted.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
