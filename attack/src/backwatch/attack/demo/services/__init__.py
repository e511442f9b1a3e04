"""Services of the demo, one file each, that turn hostile. A new service is one new file here."""

import importlib
import pkgutil
from collections.abc import Iterator

from backwatch.attack.protocols.server import HostileServer


def discover() -> Iterator[type[HostileServer]]:
    """Yield every service of this folder, in the order of file names."""
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, HostileServer) and value.__module__ == module.__name__:
                yield value
