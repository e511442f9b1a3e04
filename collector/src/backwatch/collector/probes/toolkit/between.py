"""A wrapped call between two looks of ours: one before, which gives a token, and one after, which is given it."""

from collections.abc import Callable
from inspect import iscoroutinefunction
from time import time_ns
from typing import Any

from backwatch.collector.probes.toolkit.dbapi import Make

Enter = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
Leave = Callable[[Any, Any, tuple[Any, ...], dict[str, Any], int, Any, BaseException | None], object]
"""Token, owner, arguments, keyword arguments, start, result, error. Both must be guarded."""


def between(enter: Enter, leave: Leave) -> Make:
    """Wraps a method."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, token = time_ns(), enter(self, args, kwargs)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                leave(token, self, args, kwargs, start_ns, None, error)
                raise
            leave(token, self, args, kwargs, start_ns, result, None)
            return result

        return wrapper

    return make


def between_async(enter: Enter, leave: Leave) -> Make:
    """Wraps a coroutine method."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, token = time_ns(), enter(self, args, kwargs)
            try:
                result = await original(self, *args, **kwargs)
            except BaseException as error:
                leave(token, self, args, kwargs, start_ns, None, error)
                raise
            leave(token, self, args, kwargs, start_ns, result, None)
            return result

        return wrapper

    return make


def before(look: Callable[..., object]) -> Make:
    """Wraps a method, or a coroutine method, so that we look at it and its arguments beforehand.

    A coroutine method stays one: frameworks ask before they call what they were given.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            look(self, *args)
            return original(self, *args, **kwargs)

        async def awaiting(self: Any, *args: Any, **kwargs: Any) -> Any:
            look(self, *args)
            return await original(self, *args, **kwargs)

        return awaiting if iscoroutinefunction(original) else wrapper

    return make


def around(
    begin: Enter,
    ended: Callable[[Any, Any, Any], object],
    failed: Callable[[Any, Any, BaseException], object],
    *,
    asynchronous: bool = False,
) -> Make:
    """Wraps a method or a coroutine method, where only some calls are our business.

    Args:
        begin: Its token; ``None``: none of our business.
        ended: Given the owner, the token and the result.
        failed: Given the owner, the token and the driver's error.
    """

    def leave(token: Any, owner: Any, _args: Any, _kwargs: Any, _start: int, result: Any, error: Any) -> None:
        if token is None:
            return
        if error is None:
            ended(owner, token, result)
        else:
            failed(owner, token, error)

    return (between_async if asynchronous else between)(begin, leave)
