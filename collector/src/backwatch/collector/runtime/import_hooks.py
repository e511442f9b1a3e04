"""Import hooks: a callback runs when the app imports a module, so that a driver is wrapped at its import.

Not ``wrapt``'s hooks: that library imports ``asyncio`` and ``ssl`` into the app, and ``ssl`` must not be imported
before ``gevent`` patches it.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ImportCallback = Callable[[ModuleType], object]


class _Loader:
    """A wrapper of a module's loader, until the module has been executed.

    Neither this class nor the finder derives from ``importlib.abc``, whose import takes 6 ms of CPU.
    """

    def __init__(self, loader: Any, callback: ImportCallback) -> None:
        self._loader = loader
        self._callback = callback

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]  what ``isinstance`` asks
        return type(self._loader)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # The module itself, and all later code, sees the loader that it would have without the collector.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._callback(module)


class _Finder:
    """The first finder on ``sys.meta_path``: it finds what the others find, and wraps their loader."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[ImportCallback]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.waiting:
            return None
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = find(fullname, path, target) if find is not None else None
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self._run_callbacks)
                return spec
        return None

    def _run_callbacks(self, module: ModuleType) -> None:
        for callback in self.waiting.pop(module.__name__, ()):
            callback(module)


_finder = _Finder()


def on_import(name: str, callback: ImportCallback) -> None:
    """Call ``callback`` with the module once it has been executed; at once, if it is imported already.

    Args:
        name: Full name of the module: ``psycopg``.
        callback: Must not raise: it runs inside the app's ``import``.
    """
    module = sys.modules.get(name)
    if module is not None:
        callback(module)
        return
    _finder.waiting.setdefault(name, []).append(callback)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def clear() -> None:
    """Remove all callbacks and restore ``sys.meta_path``."""
    _finder.waiting.clear()
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
