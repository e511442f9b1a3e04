"""Imports that a fork interrupted: the child forgets the half-imported modules and imports them again.

A fork waits for the collector's imports, but not for ever (``forks.py``), and not for an import that a function makes
at its first use. After an interrupted import the child has half-imported modules whose locks belong to a thread that
it does not have: a thread that imports one of them there blocks for ever. The only way to drop such a lock is the
table in which ``importlib`` keeps its locks.
"""

import importlib
import sys
from collections.abc import Collection
from typing import Any


def forget_interrupted_imports(threads: Collection[int]) -> list[str]:
    """Forget each module that one of these threads was importing at the fork. Call this in the child.

    Args:
        threads: Identifiers of threads that the child does not have.

    Returns:
        Names of the interrupted modules, sorted.
    """
    bootstrap: Any = importlib._bootstrap  # pyright: ignore[reportAttributeAccessIssue]
    locks: dict[str, Any] = getattr(bootstrap, "_module_locks", {})
    cut: list[str] = []
    for name, reference in list(locks.items()):
        lock = reference()
        if lock is not None and lock.owner in threads:
            cut.append(name)
            locks.pop(name, None)
    for name in cut:
        sys.modules.pop(name, None)
        # Modules below a package belong to that import of it.
        for below in [module for module in sys.modules if module.startswith(f"{name}.")]:
            del sys.modules[below]
    return sorted(cut)
