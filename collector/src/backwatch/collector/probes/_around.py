"""Wrappers around a driver's functions, sync and asyncio: the one place where the two differ.

What a probe does before and after is the same in both worlds, and guarded by itself; the driver's own call never is.
"""

from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]
Make = Callable[[Function], Function]
Begin = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
"""Given the owner, the arguments and the options: what the other two are to know; ``None``: none of our business."""
Ended = Callable[[Any, Any, Any], object]
"""Given the owner, what ``Begin`` gave, and the result."""
Failed = Callable[[Any, Any, BaseException], object]
"""Given the owner, what ``Begin`` gave, and the driver's error."""


def around(begin: Begin, ended: Ended, failed: Failed, *, asynchronous: bool = False) -> Make:
    """Looks at a call before and after."""

    def make(original: Function) -> Function:
        def calling(owner: Any, *args: Any, **options: Any) -> Any:
            token = begin(owner, args, options)
            if token is None:
                return original(owner, *args, **options)
            try:
                result = original(owner, *args, **options)
            except BaseException as error:
                failed(owner, token, error)
                raise
            ended(owner, token, result)
            return result

        async def awaiting(owner: Any, *args: Any, **options: Any) -> Any:
            token = begin(owner, args, options)
            if token is None:
                return await original(owner, *args, **options)
            try:
                result = await original(owner, *args, **options)
            except BaseException as error:
                failed(owner, token, error)
                raise
            ended(owner, token, result)
            return result

        return awaiting if asynchronous else calling

    return make


def after(
    ended: Callable[[Any, Any], object],
    failed: Callable[[Any, BaseException], object],
    *,
    asynchronous: bool = False,
) -> Make:
    """Looks at what comes out of a call."""

    def make(original: Function) -> Function:
        def calling(owner: Any, *args: Any, **options: Any) -> Any:
            try:
                result = original(owner, *args, **options)
            except BaseException as error:
                failed(owner, error)
                raise
            ended(owner, result)
            return result

        async def awaiting(owner: Any, *args: Any, **options: Any) -> Any:
            try:
                result = await original(owner, *args, **options)
            except BaseException as error:
                failed(owner, error)
                raise
            ended(owner, result)
            return result

        return awaiting if asynchronous else calling

    return make
