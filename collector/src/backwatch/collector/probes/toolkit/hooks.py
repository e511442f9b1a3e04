"""Wrap a driver's call with an ``enter`` hook and an ``exit`` hook. ``exit`` receives what ``enter`` returned.

``patches.wrap(Connection, "connect", call_hook(observer.on_connect, observer.on_connect_end))``

The driver is called exactly once, outside any guard: its values, types and exceptions reach the app unchanged. Hooks
must not raise: decorate them with ``never_breaks_the_host``, which turns a fault into ``None``.

- ``enter(owner, args, kwargs)`` returns a token: what ``exit`` needs to know. Where it returns ``None``, the call is
  not observed, and ``exit`` does not run. Without an ``enter``, the token is ``(start_ns, args, kwargs)``.
- ``exit(owner, token, result, error)`` runs once for each token, in the context of the call. ``result`` is ``None``
  where the driver raised ``error``.
- ``scope`` is a context variable that holds the token while the driver is called: code that runs inside finds it there.

The probe chooses between a hook and its asynchronous twin, by the driver's class. The wrapper cannot choose by what it
finds: another tool may have replaced a coroutine function by a plain one that returns its coroutine.
"""
# ruff: noqa: A002  `exit` is the hook's name in all of the probes

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from time import time_ns
from typing import Any

from backwatch.collector.runtime.context_variables import reset_variable

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]
"""Makes a wrapper of a driver's function; :meth:`.Patches.wrap` puts the wrapper in its place."""
Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Error = BaseException | None
CallToken = tuple[int, Args, Kwargs]
"""The token of a hook without an ``enter``: start, arguments, keyword arguments."""
Enter = Callable[[Any, Args, Kwargs], Any]
Exit = Callable[[Any, Any, Any, Error], object]
Scope = ContextVar[Any]


def parameter_names(function: Function) -> list[str]:
    """Return the names of a method's parameters after ``self``: their order differs between a driver's versions."""
    from inspect import signature

    return list(signature(function).parameters)[1:]


def name_arguments(order: Sequence[str], args: Args, kwargs: Kwargs) -> Kwargs:
    """Return all arguments of a call by their names."""
    return dict(zip(order, args, strict=False)) | kwargs


def _do_nothing(_owner: Any, _token: Any, _result: Any, _error: BaseException | None) -> None:
    """The ``exit`` of a hook that has only an ``enter``."""


def call_hook(enter: Enter | None = None, exit: Exit | None = None, *, scope: Scope | None = None) -> Decorator:
    """Wrap a method."""
    if enter is not None and exit is None and scope is None:
        return _enter_only(enter)
    leave = exit or _do_nothing

    def wrap_method(original: Function) -> Function:
        def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            token = (time_ns(), args, kwargs) if enter is None else enter(self, args, kwargs)
            if token is None:
                return original(self, *args, **kwargs)
            outer = None if scope is None else scope.set(token)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                leave(self, token, None, error)
                raise
            else:
                leave(self, token, result, None)
                return result
            finally:
                if outer is not None:
                    reset_variable(outer.var, outer)

        return wrapper

    return wrap_method


def async_call_hook(enter: Enter | None = None, exit: Exit | None = None, *, scope: Scope | None = None) -> Decorator:
    """Wrap a coroutine method. Both hooks run within the coroutine, so that its time is that of the awaited call."""
    if enter is not None and exit is None and scope is None:
        return _async_enter_only(enter)
    leave = exit or _do_nothing

    def wrap_coroutine(original: Function) -> Function:
        async def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            token = (time_ns(), args, kwargs) if enter is None else enter(self, args, kwargs)
            if token is None:
                return await original(self, *args, **kwargs)
            outer = None if scope is None else scope.set(token)
            try:
                result = await original(self, *args, **kwargs)
            except BaseException as error:
                leave(self, token, None, error)
                raise
            else:
                leave(self, token, result, None)
                return result
            finally:
                if outer is not None:
                    reset_variable(outer.var, outer)

        return wrapper

    return wrap_coroutine


def _enter_only(enter: Enter) -> Decorator:
    def wrap_method(original: Function) -> Function:
        def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            enter(self, args, kwargs)
            return original(self, *args, **kwargs)

        return wrapper

    return wrap_method


def _async_enter_only(enter: Enter) -> Decorator:
    def wrap_coroutine(original: Function) -> Function:
        async def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            enter(self, args, kwargs)
            return await original(self, *args, **kwargs)

        return wrapper

    return wrap_coroutine


def function_hook(enter: Enter | None = None, exit: Exit | None = None) -> Decorator:
    """Wrap a function or a static method, whose arguments may all be keywords: the owner is ``None``."""
    leave = exit or _do_nothing

    def wrap_function(original: Function) -> Function:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            token = (time_ns(), args, kwargs) if enter is None else enter(None, args, kwargs)
            if token is None:
                return original(*args, **kwargs)
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                leave(None, token, None, error)
                raise
            leave(None, token, result, None)
            return result

        return wrapper

    return wrap_function


def async_function_hook(enter: Enter | None = None, exit: Exit | None = None) -> Decorator:
    """Wrap a coroutine function likewise."""
    leave = exit or _do_nothing

    def wrap_coroutine(original: Function) -> Function:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            token = (time_ns(), args, kwargs) if enter is None else enter(None, args, kwargs)
            if token is None:
                return await original(*args, **kwargs)
            try:
                result = await original(*args, **kwargs)
            except BaseException as error:
                leave(None, token, None, error)
                raise
            leave(None, token, result, None)
            return result

        return wrapper

    return wrap_coroutine


def delegating_hook(enter: Enter | None = None, exit: Exit | None = None) -> Decorator:
    """Wrap a generator method that its driver drives (psycopg's I/O), without coming between the two.

    ``exit`` gets what the generator returns, or the ``GeneratorExit`` by which it was dropped.
    """
    leave = exit or _do_nothing

    def wrap_generator(original: Function) -> Function:
        def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            token = (time_ns(), args, kwargs) if enter is None else enter(self, args, kwargs)
            if token is None:
                return (yield from original(self, *args, **kwargs))
            try:
                result = yield from original(self, *args, **kwargs)
            except BaseException as error:
                leave(self, token, None, error)
                raise
            leave(self, token, result, None)
            return result

        return wrapper

    return wrap_generator


def iterator_hook(enter: Enter, exit: Exit, *, asynchronous: bool = False) -> Decorator:
    """Wrap a generator method of rows. ``exit`` runs once, when it ends or is closed; its result is the count of rows.

    The wrapper is a generator of the same kind, so both hooks and the driver wait for the first row that is asked for.
    """
    return _async_generator_hook(enter, exit) if asynchronous else _generator_hook(enter, exit)


def _generator_hook(enter: Enter, exit: Exit) -> Decorator:
    def wrap_generator(original: Function) -> Function:
        def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Generator[Any]:
            rows, failure = 0, None
            token = enter(self, args, kwargs)
            source = original(self, *args, **kwargs)
            try:
                row = next(source)
                while True:
                    rows += 1
                    try:
                        yield row
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001  the app threw it in, for the driver to end by it
                        row = source.throw(error)
                    else:
                        row = next(source)
            except StopIteration:
                return
            except GeneratorExit:
                source.close()
                raise
            except BaseException as error:
                failure = error
                raise
            finally:
                if token is not None:
                    exit(self, token, rows, failure)
                failure = None

        return wrapper

    return wrap_generator


def _async_generator_hook(enter: Enter, exit: Exit) -> Decorator:
    def wrap_async_generator(original: Function) -> Function:
        async def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
            rows, failure = 0, None
            token = enter(self, args, kwargs)
            source = original(self, *args, **kwargs)
            try:
                row = await anext(source)
                while True:
                    rows += 1
                    try:
                        yield row
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001  likewise
                        row = await source.athrow(error)
                    else:
                        row = await anext(source)
            except StopAsyncIteration:
                return
            except GeneratorExit:
                await source.aclose()
                raise
            except BaseException as error:
                failure = error
                raise
            finally:
                if token is not None:
                    exit(self, token, rows, failure)
                failure = None

        return wrapper

    return wrap_async_generator


def context_hook(enter: Enter, exit: Exit, *, asynchronous: bool = False, leaving: bool = False) -> Decorator:
    """Wrap a method that returns a context manager made by ``contextlib``. ``exit`` runs when its block has been left.

    Args:
        leaving: The call is only the end of the block: ``enter`` runs again when the block ends, for a new token.
    """
    observed = (_observe_async_block if asynchronous else _observe_block)(enter, exit, leaving)

    def wrap_manager(original: Function) -> Function:
        def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            first = [original(self, *args, **kwargs)]  # now: the driver checks its arguments

            def open_block() -> Any:
                # The standard library makes one manager into many where it is a decorator: one for each call.
                try:
                    return first.pop()
                except IndexError:
                    return original(self, *args, **kwargs)

            manager = observed(open_block, self, args, kwargs)
            manager.__doc__ = first[0].__doc__
            return manager

        return wrapper

    return wrap_manager


def _observe_block(enter: Enter, exit: Exit, leaving: bool) -> Function:
    @contextmanager
    def observe(open_block: Function, owner: Any, args: Args, kwargs: Kwargs) -> Generator[Any]:
        token = enter(owner, args, kwargs)
        try:
            with open_block() as value:
                try:
                    yield value
                finally:
                    if leaving:
                        token = enter(owner, args, kwargs)
        except BaseException as error:
            if token is not None:
                exit(owner, token, None, error)
            raise
        if token is not None:
            exit(owner, token, None, None)

    return observe


def _observe_async_block(enter: Enter, exit: Exit, leaving: bool) -> Function:
    @asynccontextmanager
    async def observe(open_block: Function, owner: Any, args: Args, kwargs: Kwargs) -> AsyncGenerator[Any]:
        token = enter(owner, args, kwargs)
        try:
            async with open_block() as value:
                try:
                    yield value
                finally:
                    if leaving:
                        token = enter(owner, args, kwargs)
        except BaseException as error:
            if token is not None:
                exit(owner, token, None, error)
            raise
        if token is not None:
            exit(owner, token, None, None)

    return observe
