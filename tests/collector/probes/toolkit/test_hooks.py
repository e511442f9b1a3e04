"""Hooks see each call once, and leave it as the driver made it."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextvars import ContextVar
from typing import Any

import pytest

from backwatch.collector.probes.toolkit.hooks import (
    async_call_hook,
    async_function_hook,
    call_hook,
    context_hook,
    delegating_hook,
    function_hook,
    iterator_hook,
)
from backwatch.collector.probes.toolkit.patches import Patches

SCOPE: ContextVar[Any] = ContextVar("scope", default=None)


class Driver:
    """One method of each kind that drivers have."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.left = 0

    def divide(self, number: int, *, by: int = 1) -> tuple[int, Any]:
        """Return the quotient, and the scope that the driver saw."""
        return number // by, SCOPE.get()

    async def divide_async(self, number: int, *, by: int = 1) -> tuple[int, Any]:
        """Do the same as a coroutine."""
        await asyncio.sleep(0)
        return number // by, SCOPE.get()

    @staticmethod
    def make(number: int) -> int:
        """A static method."""
        return 10 // number

    @staticmethod
    async def make_async(number: int) -> int:
        """A static coroutine method."""
        return 10 // number

    def delegate(self, number: int) -> Generator[int, int, int]:
        """A generator with a return value."""
        got = yield number
        return number // got

    def rows(self, count: int) -> Generator[int]:
        """Rows."""
        yield from (10 // (count - number) for number in range(count + 1))

    async def rows_async(self, count: int) -> AsyncGenerator[int]:
        """Rows."""
        for number in range(count + 1):
            yield 10 // (count - number)

    @contextlib.contextmanager
    def pipeline(self, name: str) -> Generator[str]:
        """A pipeline."""
        self.entered.append(name)
        yield name
        self.left += 1

    @contextlib.asynccontextmanager
    async def pipeline_async(self, name: str) -> AsyncGenerator[str]:
        """A pipeline."""
        self.entered.append(name)
        yield name
        self.left += 1


class Observer:
    """A record of the hooks' arguments."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, str]] = []

    def enter(self, _owner: object, args: Any, kwargs: Any) -> Any:
        """Record a call whose first argument is the token."""
        return args[0] if args else kwargs.get("name")

    def exit(self, _owner: object, token: Any, result: Any, error: BaseException | None) -> None:
        """Record one call."""
        self.calls.append((token, result, type(error).__name__ if error is not None else ""))


@pytest.fixture
def patches() -> Generator[Patches]:
    patches = Patches()
    yield patches
    patches.restore()


@pytest.fixture
def observer(patches: Patches) -> Observer:
    observer = Observer()
    hooks = (observer.enter, observer.exit)
    patches.wrap(Driver, "divide", call_hook(*hooks, scope=SCOPE))
    patches.wrap(Driver, "divide_async", async_call_hook(*hooks, scope=SCOPE))
    patches.wrap(Driver, "make", function_hook(*hooks))
    patches.wrap(Driver, "make_async", async_function_hook(*hooks))
    patches.wrap(Driver, "delegate", delegating_hook(*hooks))
    patches.wrap(Driver, "rows", iterator_hook(*hooks))
    patches.wrap(Driver, "rows_async", iterator_hook(*hooks, asynchronous=True))
    patches.wrap(Driver, "pipeline", context_hook(*hooks))
    patches.wrap(Driver, "pipeline_async", context_hook(*hooks, asynchronous=True))
    return observer


def run(made: Any) -> Any:
    """Return the result of a call, synchronous or not."""

    async def wait() -> Any:
        return await made

    return asyncio.run(wait()) if isinstance(made, Awaitable) else made


METHODS = pytest.mark.parametrize("method", ["divide", "divide_async"])


@METHODS
def test_exit_receives_the_token_and_the_result(observer: Observer, method: str) -> None:
    assert run(getattr(Driver(), method)(6, by=2)) == (3, 6)
    assert observer.calls == [(6, (3, 6), "")]


@METHODS
def test_exit_receives_the_drivers_error_and_the_app_its_own(observer: Observer, method: str) -> None:
    with pytest.raises(ZeroDivisionError):
        run(getattr(Driver(), method)(6, by=0))
    assert observer.calls == [(6, None, "ZeroDivisionError")]
    assert SCOPE.get() is None


@METHODS
def test_a_call_without_a_token_is_not_observed(observer: Observer, method: str) -> None:
    assert run(getattr(Driver(), method)(number=6)) == (6, None)
    assert observer.calls == []


@METHODS
def test_the_scope_ends_with_the_call(observer: Observer, method: str) -> None:
    run(getattr(Driver(), method)(6))
    assert (SCOPE.get(), len(observer.calls)) == (None, 1)


@pytest.mark.parametrize(("method", "hook"), [("divide", call_hook), ("divide_async", async_call_hook)])
def test_either_hook_may_be_left_out(patches: Patches, method: str, hook: Callable[..., Any]) -> None:
    entered: list[Any] = []
    ended: list[Any] = []
    patches.wrap(Driver, method, hook(lambda *given: entered.append(given[1:])))
    patches.wrap(Driver, method, hook(None, lambda *given: ended.append(given)))
    driver = Driver()
    assert run(getattr(driver, method)(6, by=2)) == (3, None)
    assert entered == [((6,), {"by": 2})]
    [(owner, (start_ns, args, kwargs), result, error)] = ended
    assert (owner, args, kwargs, result, error) == (driver, (6,), {"by": 2}, (3, None), None)
    assert start_ns > 0


@pytest.mark.parametrize("method", ["make", "make_async"])
def test_functions_receive_the_apps_arguments(observer: Observer, method: str) -> None:
    function = getattr(Driver, method)
    assert run(function(2)) == 5
    assert run(function(number=5)) == 2
    with pytest.raises(ZeroDivisionError):
        run(function(0))
    assert observer.calls == [(2, 5, ""), (0, None, "ZeroDivisionError")]


def test_coroutine_function_stays_a_coroutine_function(observer: Observer) -> None:
    assert inspect.iscoroutinefunction(Driver.divide_async)
    assert inspect.iscoroutinefunction(Driver.make_async)
    assert inspect.isgeneratorfunction(Driver.rows)
    assert inspect.isasyncgenfunction(Driver.rows_async)
    assert observer.calls == []


def test_a_delegating_hook_passes_values_both_ways(observer: Observer) -> None:
    source = Driver().delegate(6)
    assert next(source) == 6
    with pytest.raises(StopIteration) as end:
        source.send(2)
    assert end.value.value == 3
    dropped = Driver().delegate(6)
    next(dropped)
    dropped.close()
    assert observer.calls == [(6, 3, ""), (6, None, "GeneratorExit")]


async def _gather(source: AsyncGenerator[int], most: int) -> list[int]:
    found = list[int]()
    async with contextlib.aclosing(source):
        async for row in source:
            found.append(row)
            if len(found) == most:
                break
    return found


def test_rows_are_counted_until_the_app_has_enough(observer: Observer) -> None:
    source = Driver().rows(3)
    assert [next(source), next(source)] == [3, 5]
    source.close()
    assert asyncio.run(_gather(Driver().rows_async(3), 2)) == [3, 5]
    assert observer.calls == [(3, 2, "")] * 2


def test_an_error_among_rows_reaches_the_app(observer: Observer) -> None:
    with pytest.raises(ZeroDivisionError):
        list(Driver().rows(2))
    with pytest.raises(ZeroDivisionError):
        asyncio.run(_gather(Driver().rows_async(2), 9))
    assert observer.calls == [(2, 2, "ZeroDivisionError")] * 2


def test_the_end_of_a_block_alone_can_be_the_call(patches: Patches) -> None:
    moments: list[str] = []

    def enter(*_given: Any) -> str:
        moments.append("enter")
        return moments[-1]

    patches.wrap(Driver, "pipeline", context_hook(enter, lambda *_: moments.append("exit"), leaving=True))
    with Driver().pipeline("a"):
        moments.append("block")
    assert moments == ["enter", "block", "enter", "exit"]


def test_a_manager_is_a_decorator_for_any_number_of_calls(observer: Observer) -> None:
    driver = Driver()

    @driver.pipeline("a")
    def app(number: int) -> int:
        return 10 // number

    assert [app(1), app(2)] == [10, 5]
    with pytest.raises(ZeroDivisionError):
        app(0)
    assert app(5) == 2
    assert (driver.entered, driver.left) == (["a"] * 4, 3)
    assert [error for _, _, error in observer.calls] == ["", "", "ZeroDivisionError", ""]


def test_an_asynchronous_manager_decorates_coroutine_functions(observer: Observer) -> None:
    driver = Driver()

    @driver.pipeline_async(name="a")
    async def app(number: int) -> int:
        await asyncio.sleep(0)
        return 10 // number

    async def several() -> list[int]:
        return list(await asyncio.gather(app(1), app(2), app(5)))

    assert asyncio.run(several()) == [10, 5, 2]
    assert (driver.entered, driver.left) == (["a"] * 3, 3)
    assert observer.calls == [("a", None, "")] * 3


def test_a_decorated_function_may_call_itself(observer: Observer) -> None:
    driver = Driver()

    @driver.pipeline("a")
    def app(depth: int) -> int:
        return app(depth - 1) + 1 if depth else 0

    assert app(3) == 3
    assert (len(driver.entered), driver.left, len(observer.calls)) == (4, 4, 4)


def _use_twice(method: Callable[..., Any]) -> str:
    manager = method("a")
    with manager as name:
        assert name == "a"
    with pytest.raises(Exception) as found, manager:  # the standard library decides which error
        pass
    return repr(found.value)


def test_a_used_manager_raises_the_same_error(observer: Observer) -> None:
    wrapped, original = Driver().pipeline, getattr(Driver.pipeline, "__wrapped__")  # noqa: B009  set by the patch
    assert _use_twice(wrapped) == _use_twice(lambda name: original(Driver(), name))
    assert len(observer.calls) == 1


@pytest.mark.parametrize("method", ["pipeline", "pipeline_async"])
def test_wrong_arguments_are_refused_at_the_call(observer: Observer, method: str) -> None:
    driver = Driver()
    with pytest.raises(TypeError, match="name"):
        getattr(driver, method)()
    with pytest.raises(TypeError):
        getattr(driver, method)("a", "b")
    assert (driver.entered, observer.calls) == ([], [])


@pytest.mark.parametrize("method", ["pipeline", "pipeline_async"])
def test_a_manager_has_the_drivers_type(observer: Observer, method: str) -> None:
    wrapped = getattr(Driver(), method)("a")
    original = getattr(Driver, method).__wrapped__(Driver(), "a")
    assert type(wrapped) is type(original)
    assert wrapped.__doc__ == original.__doc__ == "A pipeline."
    assert observer.calls == []
