"""Compiled code is kept in a private folder or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backwatch.detector.kernels import bounded_cache
from backwatch.detector.kernels.compiled import CACHED, kernel, own_folder

PROGRAM = """
import sys
from backwatch.detector.kernels.compiled import CACHED, CACHE_FOLDER, kernel
sys.path.insert(0, sys.argv[1])
import calls
print(CACHED, calls.outer(2))
"""
INNER = "from backwatch.detector.kernels.compiled import kernel\n@kernel\ndef inner(x):\n    return x + {}\n"
OUTER = """
from backwatch.detector.kernels.compiled import kernel
from inner import inner
@kernel
def outer(x):
    return inner(x) * 10
"""


def run(tmp_path: Path, state: Path | str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XDG_STATE_HOME": str(state)}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )


def test_created_folders_are_private_and_existing_folders_keep_their_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert own_folder(tmp_path / "state" / "numba")
    modes = [folder.stat().st_mode & 0o777 for folder in (tmp_path / "state" / "numba", tmp_path / "state", tmp_path)]
    assert modes == [0o700, 0o700, 0o755]


@pytest.mark.parametrize("how", ["open to others", "a link", "a file"])
def test_folder_writable_by_others_is_not_used(how: str, tmp_path: Path) -> None:
    path = tmp_path / "numba"
    if how == "open to others":
        path.mkdir()
        path.chmod(0o777)
    elif how == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_text("")
    assert not own_folder(path)


def test_without_a_folder_kernels_compile_uncached_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text(INNER.format(1))
    (tmp_path / "calls.py").write_text(OUTER)
    (tmp_path / "file").write_text("")
    found = run(tmp_path, tmp_path / "file")
    assert found.stdout == "False 30\n"
    assert "compiled anew" in found.stderr


def test_kernel_is_recompiled_after_a_change_of_its_callee(tmp_path: Path) -> None:
    (tmp_path / "calls.py").write_text(OUTER)
    for added, expected in ((1, "True 30\n"), (1, "True 30\n"), (5, "True 70\n")):
        (tmp_path / "inner.py").write_text(INNER.format(added))
        assert run(tmp_path, tmp_path / "state").stdout == expected


@pytest.mark.skipif(not CACHED, reason="kernels are not cached here")
def test_kernel_that_reads_through_a_module_of_backwatch_is_refused() -> None:
    def read() -> int:
        return bounded_cache.MAX_NOTHING  # type: ignore[attr-defined]

    with pytest.raises(TypeError, match=r"import what it reads of backwatch\.detector\.kernels\.bounded_cache by name"):
        kernel(read)
