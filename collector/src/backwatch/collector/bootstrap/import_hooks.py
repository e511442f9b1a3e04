"""Tells when the app imports a module, without importing it: how a driver is wrapped the moment it comes in.

Our own few lines and not ``wrapt``'s: that library brings ``asyncio`` and ``ssl`` into the app, and ``ssl`` must not be
there before ``gevent`` patches it.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ImportCallback = Callable[[ModuleType], object]


class _Loader:
    """Stands before a module's loader until the module has been executed.

    Neither this class nor the finder is derived from those of ``importlib.abc``, which costs 6 ms of CPU to import.
    """

    def __init__(self, loader: Any, told: ImportCallback) -> None:
        self._loader = loader
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]  what ``isinstance`` asks
        return type(self._loader)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # The module itself, and who looks at it later, sees the loader that it would have had without us.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._told(module)


class _Finder:
    """First on ``sys.meta_path``: finds what the others find, and puts our loader before theirs."""

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
                    spec.loader = _Loader(spec.loader, self._tell)
                return spec
        return None

    def _tell(self, module: ModuleType) -> None:
        for told in self.waiting.pop(module.__name__, ()):
            told(module)


_finder = _Finder()


def on_import(name: str, told: ImportCallback) -> None:
    """Call ``told`` with the module once it has been executed: now, if it is there already.

    Args:
        name: Full name of the module: ``psycopg``.
        told: Must not raise: it runs inside the app's ``import``.
    """
    module = sys.modules.get(name)
    if module is not None:
        told(module)
        return
    _finder.waiting.setdefault(name, []).append(told)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def clear() -> None:
    """Wait for nothing any more, and leaves ``sys.meta_path`` as it was."""
    _finder.waiting.clear()
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
