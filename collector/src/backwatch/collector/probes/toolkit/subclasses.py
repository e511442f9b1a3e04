"""Classes of the app's, with our layer slipped in right above the C type: for drivers whose C code rejects proxies.

The layer lies below every class of the app's: its methods see what the app's own classes finally ask of the driver, and
the app's object is still an instance of the app's class, with its name, its attributes and its methods. Where a method
of the app's asks the C type by its name, past ``super()`` and so past the layer, that method itself is looked at.
"""

import types
from collections.abc import Callable
from typing import Any, Final

from backwatch.collector.runtime.guard import never_breaks_the_host

MAX_REMEMBERED: Final = 256


def past_super(factory: type, base: type, name: str) -> bool:
    """Whether a class of the app's has a method of its own of this name that does not know ``super``."""
    for kind in factory.__mro__:
        if kind is base:
            break
        code = getattr(vars(kind).get(name), "__code__", None)
        if code is not None and "super" not in code.co_names:
            return True
    return False


class _Unannounced:
    """Goes before the app's class, which must not hear of a subclass that the app never wrote."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        pass


class Subclasses:
    """Watched classes made so far, by the class that the app chose.

    Args:
        over: Given the app's class: methods that go before its own.
    """

    def __init__(self, base: type, layer: type, over: Callable[[type], dict[str, Any]] = lambda _: {}) -> None:
        self._base = base
        self._layer = layer
        self._over = over
        self._made: dict[type, type] = {}

    @never_breaks_the_host
    def of(self, factory: Any) -> Any:
        """The watched class to use in place of ``factory``; ``None`` where it is not a class of this driver's."""
        if not isinstance(factory, type) or not issubclass(factory, self._base) or issubclass(factory, self._layer):
            return None
        made = self._made.get(factory)
        if made is None:
            if len(self._made) >= MAX_REMEMBERED:
                self._made.clear()
            made = self._made[factory] = self._make(factory)
        return made

    def _make(self, factory: type) -> type:
        bases = (self._layer,) if factory is self._base else (_Unannounced, factory, self._layer)

        def named(namespace: dict[str, Any]) -> None:
            namespace.update(self._over(factory))
            namespace.update(__module__=factory.__module__, __qualname__=factory.__qualname__, __doc__=factory.__doc__)

        return types.new_class(factory.__name__, bases, {}, named)
