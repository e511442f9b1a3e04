"""Replacing a driver's attributes, and putting the very same objects back."""

from functools import WRAPPER_ASSIGNMENTS, partial
from types import BuiltinFunctionType, ModuleType
from typing import Any, Final

from backwatch.collector.probes.toolkit.hooks import Decorator

_ABSENT: Final = object()


class _Unbound(partial[Any]):
    """A function that binds to nothing where it is made a class's attribute, as built-in ones do not."""

    place: str
    """Module and name, between them a colon."""

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self

    def __reduce__(self) -> Any:  # found by its name, as functions are, but not in the module that it says
        from pkgutil import resolve_name  # five milliseconds, for what few apps ever pickle

        return resolve_name, (self.place,)


def _like_a_builtin(function: Any, place: str) -> Any:
    ours = _Unbound(function)
    ours.place = place
    for word in (*WRAPPER_ASSIGNMENTS, "__wrapped__"):
        if hasattr(function, word):
            setattr(ours, word, getattr(function, word))
    return ours


class Patches:
    """What was replaced, newest last.

    Where somebody wrapped our wrapper in the meantime, it stays below theirs: putting the original back would take
    theirs away. A wrapper must therefore be a mere passage once its probe is removed.
    """

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, object, object]] = []

    def wrap(self, owner: Any, name: str, decorator: Decorator) -> bool:
        """Replaces ``owner.name`` by ``decorator(original)``; false where this version of the driver has none."""
        original = getattr(owner, name, None)
        if original is None:
            return False
        own = vars(owner).get(name, _ABSENT)
        of_class = isinstance(own, classmethod)
        if of_class:
            original = original.__func__
        ours: Any = decorator(original)
        for word in WRAPPER_ASSIGNMENTS:
            if hasattr(original, word):
                setattr(ours, word, getattr(original, word))
        ours.__wrapped__ = original
        if of_class:
            ours = classmethod(ours)
        elif isinstance(own, staticmethod):
            ours = staticmethod(ours)
        elif isinstance(owner, ModuleType) and isinstance(original, BuiltinFunctionType):
            ours = _like_a_builtin(ours, f"{owner.__name__}:{name}")
        setattr(owner, name, ours)
        self._done.append((owner, name, own, ours))
        return True

    def wrap_setter(self, owner: Any, name: str, decorator: Decorator) -> bool:
        """Replaces what setting the property ``owner.name`` does; false where this class has no such property."""
        own = vars(owner).get(name)
        if not isinstance(own, property) or own.fset is None:
            return False
        ours = own.setter(decorator(own.fset))
        setattr(owner, name, ours)
        self._done.append((owner, name, own, ours))
        return True

    def wrap_getter(self, owner: Any, name: str, decorator: Decorator) -> bool:
        """Replaces what reading the property ``owner.name`` does; false where this class has no such property."""
        own = vars(owner).get(name)
        if not isinstance(own, property) or own.fget is None:
            return False
        ours = own.getter(decorator(own.fget))
        setattr(owner, name, ours)
        self._done.append((owner, name, own, ours))
        return True

    def restore(self) -> None:
        """Puts every original back where our wrapper still stands."""
        while self._done:
            owner, name, own, ours = self._done.pop()
            if vars(owner).get(name) is not ours:
                continue
            if own is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, own)
