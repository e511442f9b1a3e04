"""Names of source files: as they are imported, so that no working directory and no checkout changes them."""

import os
import sys
from collections.abc import Mapping
from typing import Any, Final

MAX_FILE: Final = 200
_SUFFIXES: Final = (".py", "/__init__.py", "/__main__.py")


def relative_file(file: str, module_globals: Mapping[str, Any]) -> str:
    """Return a file's name relative to the folder that its module was imported from.

    >>> relative_file("/srv/app/shop/orders.py", {"__name__": "shop.orders"})
    'shop/orders.py'
    >>> relative_file("/srv/app/shop/__init__.py", {"__name__": "shop"})
    'shop/__init__.py'
    >>> relative_file("/srv/app/batch.py", {"__name__": "__main__"})
    'batch.py'
    """
    name = _module_of(module_globals)
    stem = "/" + name.replace(".", "/")
    for suffix in _SUFFIXES if name else ():
        if file.endswith(stem + suffix):
            return _cut(stem[1:] + suffix)
    folder = _import_folder(file) if name and module_globals.get("__name__") != "__main__" else ""
    return _cut(file[len(folder) :] if folder else file.rpartition("/")[2])


def _module_of(module_globals: Mapping[str, Any]) -> str:
    """Return a module's name; that of ``python -m`` is in its specification."""
    name = module_globals.get("__name__")
    if name == "__main__":
        name = getattr(module_globals.get("__spec__"), "name", "__main__")
    return name if isinstance(name, str) else ""


def _import_folder(file: str) -> str:
    """Return the longest folder of the import path that holds a file whose module has another name."""
    folders = (os.path.join(path, "") for path in sys.path if path)  # noqa: PTH118  pathlib is ten times slower
    return max((folder for folder in folders if file.startswith(folder)), key=len, default="")


def _cut(file: str) -> str:
    return file if len(file) <= MAX_FILE else "…" + file[-MAX_FILE + 1 :]
