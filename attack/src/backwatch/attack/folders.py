"""Folders with one item per file: a new item is one new file, and nothing else."""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def files(path: Iterable[str]) -> Iterator[str]:
    """Yield the names of a package's files that hold an item, in order.

    Args:
        path: The package's ``__path__``.
    """
    return (found.name for found in pkgutil.iter_modules(path) if not found.name.startswith("_"))


def only(module: ModuleType | str, base: type[T]) -> type[T]:
    """Return the one class of this kind that a file defines.

    Raises:
        ValueError: The file defines none, or several.
    """
    found = importlib.import_module(module) if isinstance(module, str) else module
    (kind,) = (
        value
        for value in vars(found).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == found.__name__
    )
    return kind
