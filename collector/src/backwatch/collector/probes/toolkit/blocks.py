"""Wrapped calls that last as long as an iteration or a ``with`` block: streams, COPY, pipelines.

What the driver returned is handed on as the same kind of object (generator, context manager); arguments are checked by
the driver at the same moment as before. Reports are guarded, see ``_dbapi.py``.
"""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from time import time_ns
from typing import Any

from backwatch.collector.probes.toolkit.dbapi import Make, argument

StreamReport = Callable[[Any, Any, int, int, BaseException | None], object]
"""Owner, first argument, start, rows, error."""
BlockReport = Callable[[Any, Any, int, BaseException | None], object]
"""Owner, first argument, start, error."""


def streaming(report: StreamReport, name: str) -> Make:
    """Wraps a generator method of rows; told once, when it ends or is closed."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Generator[Any]:
            start_ns, rows, failure = time_ns(), 0, None
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
                report(self, argument(args, kwargs, 0, name), start_ns, rows, failure)
                failure = None

        return wrapper

    return make


def streaming_async(report: StreamReport, name: str) -> Make:
    """Wraps an asynchronous generator method likewise."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapper(self: Any, *args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
            start_ns, rows, failure = time_ns(), 0, None
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
                report(self, argument(args, kwargs, 0, name), start_ns, rows, failure)
                failure = None

        return wrapper

    return make


def around(report: BlockReport, name: str, *, whole: bool) -> Make:
    """Wraps a method that returns a context manager; told when the block has been left.

    Args:
        name: The first argument, which the report gets.
        whole: The call lasts as long as the block; else only as long as leaving it does.
    """

    @contextmanager
    def watched(fresh: Callable[[], Any], owner: Any, subject: Any) -> Generator[Any]:
        start_ns = time_ns()
        try:
            with fresh() as value:
                try:
                    yield value
                finally:
                    start_ns = start_ns if whole else time_ns()
        except BaseException as error:
            report(owner, subject, start_ns, error)
            raise
        report(owner, subject, start_ns, None)

    return _passing_on(watched, name)


def around_async(report: BlockReport, name: str, *, whole: bool) -> Make:
    """Wraps a method that returns an asynchronous context manager likewise."""

    @asynccontextmanager
    async def watched(fresh: Callable[[], Any], owner: Any, subject: Any) -> AsyncGenerator[Any]:
        start_ns = time_ns()
        try:
            async with fresh() as value:
                try:
                    yield value
                finally:
                    start_ns = start_ns if whole else time_ns()
        except BaseException as error:
            report(owner, subject, start_ns, error)
            raise
        report(owner, subject, start_ns, None)

    return _passing_on(watched, name)


def _passing_on(watched: Callable[[Callable[[], Any], Any, Any], Any], name: str) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            first = [original(self, *args, **kwargs)]  # now: the driver checks its arguments

            def fresh() -> Any:
                # The standard library makes one manager into many where it is a decorator: one for each call.
                try:
                    return first.pop()
                except IndexError:
                    return original(self, *args, **kwargs)

            made = watched(fresh, self, argument(args, kwargs, 0, name))
            made.__doc__ = first[0].__doc__
            return made

        return wrapper

    return make
