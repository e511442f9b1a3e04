"""Subclasses of the app's classes with a layer above the C type: for drivers whose C code rejects proxies.

The layer is below every class of the app: its methods observe what the app's own classes finally call, and the app's
object is still an instance of the app's class, with its name, its attributes and its methods. Where a method of the app
calls the C type by its name, past ``super()`` and so past the layer, that method itself is observed.
"""

import types
from collections.abc import Callable
from typing import Any, Final

from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.keyed_cache import remember

MAX_CACHED_CLASSES: Final = 256


def bypasses_super(factory: type, base: type, name: str) -> bool:
    """Return whether a class of the app has such a method that does not use ``super``."""
    for kind in factory.__mro__:
        if kind is base:
            break
        code = getattr(vars(kind).get(name), "__code__", None)
        if code is not None and "super" not in code.co_names:
            return True
    return False


class _Unannounced:
    """Precedes the app's class, whose ``__init_subclass__`` must not see the subclass."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        pass


class Subclasses:
    """Observed classes made so far, by the app's class.

    Args:
        over: Return methods that precede those of the app's class.
    """

    def __init__(self, base: type, layer: type, over: Callable[[type], dict[str, Any]] = lambda _: {}) -> None:
        self._base = base
        self._layer = layer
        self._over = over
        self._made: dict[type, type] = {}

    @never_breaks_the_host
    def subclass_of(self, factory: Any) -> Any:
        """Return the observed class to use in place of ``factory``; ``None`` where it is no class of this driver."""
        if not isinstance(factory, type) or not issubclass(factory, self._base) or issubclass(factory, self._layer):
            return None
        made = self._made.get(factory)
        if made is None:
            made = remember(self._made, factory, self._make(factory), MAX_CACHED_CLASSES)
        return made

    def _make(self, factory: type) -> type:
        bases = (self._layer,) if factory is self._base else (_Unannounced, factory, self._layer)

        def fill(namespace: dict[str, Any]) -> None:
            namespace.update(self._over(factory))
            namespace.update(__module__=factory.__module__, __qualname__=factory.__qualname__, __doc__=factory.__doc__)

        return types.new_class(factory.__name__, bases, {}, fill)
