"""The one door to Numba: every compiled kernel is made by :func:`kernel`, and its cache stays in a private folder.

Numba's cache is pickle, so anyone who can write there runs code in the detector; and without a writable place a cached
function fails at import. So the folder is this user's alone (0700, not a link). Without such a folder, kernels are
compiled uncached, and a warning is logged once. Import this module before ``numba``: Numba reads where its cache is
while it is imported.
"""

import hashlib
import importlib
import inspect
import logging
import os
import stat
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.settings import make_private, state_directory

P = ParamSpec("P")
T = TypeVar("T")

Array = NDArray[Any]

logger = logging.getLogger("backwatch")


def own_folder(path: Path) -> bool:
    """Create ``path`` and its missing parents, private to this user.

    Returns:
        Whether it is a real folder of this user's alone that can be written.
    """
    try:
        make_private(path)
        found = path.lstat()
    except OSError:
        return False
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return mine and os.access(path, os.W_OK | os.X_OK)


CACHE_FOLDER = state_directory(os.environ) / "numba"
CACHED = own_folder(CACHE_FOLDER)
"""Whether what was compiled is kept for the next start."""
if CACHED:
    os.environ["NUMBA_CACHE_DIR"] = str(CACHE_FOLDER)
else:
    logger.warning("backwatch: %s is not a private, writable folder; kernels are compiled anew each time", CACHE_FOLDER)

import numba  # noqa: E402  after its cache has been pointed at our folder
from numba.core import config  # noqa: E402


def _import_without_blas() -> None:
    """Import Numba's array functions without SciPy's linear algebra: 15 MB for ``dot``, unused."""
    if "scipy.linalg" in sys.modules:
        return
    sys.modules["scipy.linalg"] = None  # pyright: ignore[reportArgumentType]  an import of it fails, as if not installed
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del sys.modules["scipy.linalg"]


_import_without_blas()

_stamps: "weakref.WeakKeyDictionary[Any, str]" = weakref.WeakKeyDictionary()


def _stamp(function: Callable[..., Any]) -> str:
    """Return a hash of everything the compiled code depends on: its file, the kernels it calls, and frozen globals.

    Numba looks at size and time of the function's own file only, and would go on running an old callee out of the
    cache after an upgrade.
    """
    digest = hashlib.blake2b(Path(inspect.getfile(function)).read_bytes(), digest_size=12)
    for name in sorted(inspect.getclosurevars(function).globals):
        value = function.__globals__[name]
        frozen = value.tobytes() if isinstance(value, np.ndarray) else _get_stamp(value).encode()
        digest.update(name.encode() + b"\x00" + frozen + b"\x00")
    return digest.hexdigest()


def _get_stamp(value: Any) -> str:
    if isinstance(value, int | float | str | tuple | bool):
        return repr(value)
    if isinstance(value, ModuleType) and value.__name__.startswith("backwatch."):
        raise TypeError(
            f"a kernel must import what it reads of {value.__name__} by name: its cache could not see a change"
        )
    try:
        return _stamps.get(value, "")
    except TypeError:  # a module or the like, which holds no weak reference
        return ""


def _compile(function: Callable[P, T], *, pasted: bool) -> Callable[P, T]:
    if not CACHED:
        return cast("Callable[P, T]", numba.njit(nogil=True, forceinline=pasted)(cast("Any", function)))
    stamp = _stamp(function)
    folder = CACHE_FOLDER / stamp
    cached = own_folder(folder)
    config.CACHE_DIR = str(folder)  # pyright: ignore[reportAttributeAccessIssue]  filled in at run time
    try:
        compiled = numba.njit(nogil=True, forceinline=pasted, cache=cached)(cast("Any", function))
    finally:
        config.CACHE_DIR = str(CACHE_FOLDER)  # pyright: ignore[reportAttributeAccessIssue]  filled in at run time
    _stamps[compiled] = stamp
    return cast("Callable[P, T]", compiled)


def kernel(function: Callable[P, T]) -> Callable[P, T]:
    """Compile a function of arrays and numbers (``njit``, without the GIL), cached where that is safe.

    Small constants may be module globals; hand big tables over as arguments, so that they are not compiled in.
    """
    return _compile(function, pasted=False)


def inline(function: Callable[P, T]) -> Callable[P, T]:
    """Compile a :func:`kernel` that is inlined into its callers: for short pieces of inner loops."""
    return _compile(function, pasted=True)
