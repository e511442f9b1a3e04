"""What attaching and opening a resource can raise. No message contains a secret."""

from collections.abc import Iterator
from typing import Final

MAX_CAUSES: Final = 50


class ResourceError(Exception):
    """Base of all errors of this package."""


class ResourceMisconfigured(ResourceError, ValueError):
    """A config variable or a setting is missing or wrong. The message names it and, unless secret, its value."""


class DriverMissing(ResourceError, ImportError):
    """No client library of the service is installed. The message names those that would do."""


class ResourceUnsafe(ResourceError):
    """A check refused the service.

    No ``OSError``: client libraries try those again.

    Attributes:
        resource: Name given to :func:`attach`.
        check: Setting of the policy that refused, as in ``[tool.backwatch.resources.NAME]``.
        seen: What was seen, shortened and free of control characters.
        fix: What to do.
    """

    def __init__(self, resource: str, check: str, seen: str, fix: str) -> None:
        super().__init__(f"{resource}: {check}: {seen.rstrip('.')}. {fix}")
        self.resource = resource
        self.check = check
        self.seen = seen
        self.fix = fix

    def __reduce__(self) -> "tuple[type[ResourceUnsafe], tuple[str, str, str, str]]":
        """Rebuild from the parts: the default would pass the message alone."""
        return type(self), (self.resource, self.check, self.seen, self.fix)


def walk_causes(error: BaseException, *, contexts: bool = False) -> Iterator[BaseException]:
    """Yield an error and those that it wraps; drivers keep them as cause, argument or attribute.

    Args:
        error: Where to begin.
        contexts: Whether to follow ``__context__`` too. It also leads to errors that the app was handling before.
    """
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending and len(seen) < MAX_CAUSES:
        found = pending.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        pending += [found.__cause__, *found.args, getattr(found, "reason", None)]
        pending += [getattr(found, "original_exception", None), getattr(found, "kwargs", {}).get("error")]
        if contexts:
            pending.append(found.__context__)
