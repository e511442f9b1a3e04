"""Replacing a driver's attributes, and putting the very same objects back."""

from functools import WRAPPER_ASSIGNMENTS, partial
from types import BuiltinFunctionType, ModuleType
from typing import Any, Final

from backwatch.collector.probes.toolkit.hooks import Decorator

_ABSENT: Final = object()


class _Unbound(partial[Any]):
    """A function that does not bind where it is a class's attribute, like built-in ones."""

    place: str
    """Module and name, between them a colon."""

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self

    def __reduce__(self) -> Any:  # found by name, as functions are, but not in the module of its ``__module__``
        from pkgutil import resolve_name  # an import of five milliseconds, which few apps need

        return resolve_name, (self.place,)


def _imitate_builtin(function: Any, place: str) -> Any:
    wrapper = _Unbound(function)
    wrapper.place = place
    for attribute in (*WRAPPER_ASSIGNMENTS, "__wrapped__"):
        if hasattr(function, attribute):
            setattr(wrapper, attribute, getattr(function, attribute))
    return wrapper


class Patches:
    """The replaced attributes, newest last.

    Where another tool has wrapped a wrapper in the meantime, the wrapper stays below: restoring the original would
    remove the other tool's. So a wrapper must only call its original once its probe is removed.
    """

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, object, object]] = []

    def wrap(self, owner: Any, name: str, decorator: Decorator) -> bool:
        """Replace ``owner.name`` by ``decorator(original)``; return false where this version of the driver has none."""
        original = getattr(owner, name, None)
        if original is None:
            return False
        own = vars(owner).get(name, _ABSENT)
        of_class = isinstance(own, classmethod)
        if of_class:
            original = original.__func__
        wrapper: Any = decorator(original)
        for attribute in WRAPPER_ASSIGNMENTS:
            if hasattr(original, attribute):
                setattr(wrapper, attribute, getattr(original, attribute))
        wrapper.__wrapped__ = original
        if of_class:
            wrapper = classmethod(wrapper)
        elif isinstance(own, staticmethod):
            wrapper = staticmethod(wrapper)
        elif isinstance(owner, ModuleType) and isinstance(original, BuiltinFunctionType):
            wrapper = _imitate_builtin(wrapper, f"{owner.__name__}:{name}")
        setattr(owner, name, wrapper)
        self._done.append((owner, name, own, wrapper))
        return True

    def wrap_setter(self, owner: Any, name: str, decorator: Decorator) -> bool:
        """Replace the setter of the property ``owner.name``; return false where this class has no such property."""
        own = vars(owner).get(name)
        if not isinstance(own, property) or own.fset is None:
            return False
        wrapper = own.setter(decorator(own.fset))
        setattr(owner, name, wrapper)
        self._done.append((owner, name, own, wrapper))
        return True

    def wrap_getter(self, owner: Any, name: str, decorator: Decorator) -> bool:
        """Replace the getter of the property ``owner.name``; return false where this class has no such property."""
        own = vars(owner).get(name)
        if not isinstance(own, property) or own.fget is None:
            return False
        wrapper = own.getter(decorator(own.fget))
        setattr(owner, name, wrapper)
        self._done.append((owner, name, own, wrapper))
        return True

    def restore(self) -> None:
        """Restore every original whose wrapper is still in place."""
        while self._done:
            owner, name, own, wrapper = self._done.pop()
            if vars(owner).get(name) is not wrapper:
                continue
            if own is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, own)
