"""Imports that a fork has cut in two all the same: forgotten in the child, which then imports anew.

A fork waits for the collector's imports, but not for ever (``forking.py``), and not for those that a function makes at
its first use. Where one was cut, the child has modules that are half imported, and their locks are held by a thread
that it does not have: a thread that imports one of them there waits for ever. Python gives no way to drop such a lock
but the table in which ``importlib`` keeps them.
"""

import importlib
import sys
from collections.abc import Collection
from typing import Any


def forget_interrupted_imports(threads: Collection[int]) -> list[str]:
    """Forget each module that one of these threads was importing when its process was forked; call it in the child.

    Args:
        threads: Identifiers of threads that the child does not have.

    Returns:
        Names of the modules that were cut, sorted.
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
        # What lies below a package that begins anew belongs to the old one.
        for below in [module for module in sys.modules if module.startswith(f"{name}.")]:
            del sys.modules[below]
    return sorted(cut)
