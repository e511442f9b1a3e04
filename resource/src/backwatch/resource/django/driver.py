"""A database's client library as Django sees it, with connections that are attached."""

from typing import Any, Final

from backwatch.resource.attach import attach

ENDPOINT: Final = frozenset({"host", "port", "user", "password", "passwd", "unix_socket"})
"""Parameters of Django that the resource's URL decides."""


class AttachedDriver:
    """Stands for the library's module: errors and types are its own, ``connect`` attaches.

    Args:
        driver: The module.
        name: Name of the config variable.
    """

    def __init__(self, driver: Any, name: str) -> None:
        self._driver = driver
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Return what the module has."""
        return getattr(self._driver, attribute)

    def connect(self, **parameters: Any) -> Any:
        """Return the library's own connection, opened safely."""
        options = {name: value for name, value in parameters.items() if name not in ENDPOINT}
        return attach(self._name, driver=self._driver.__name__.lower()).connect(**options)
