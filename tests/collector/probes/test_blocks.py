"""What a wrapped method returns can be used as the driver's own: in a ``with`` block, and as a decorator."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest

from backwatch.collector.probes.toolkit.blocks import around, around_async
from backwatch.collector.probes.toolkit.patches import Patches


class Driver:
    """Its managers as psycopg makes them."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.left = 0

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


Told = list[tuple[Any, str]]


@pytest.fixture
def told() -> Generator[Told]:
    calls: Told = []

    def report(_owner: Any, subject: Any, _start_ns: int, error: BaseException | None) -> None:
        calls.append((subject, type(error).__name__))

    patches = Patches()
    patches.wrap(Driver, "pipeline", around(report, "name", whole=True))
    patches.wrap(Driver, "pipeline_async", around_async(report, "name", whole=True))
    yield calls
    patches.restore()


def test_a_manager_is_a_decorator_for_any_number_of_calls(told: Told) -> None:
    driver = Driver()

    @driver.pipeline("a")
    def app(number: int) -> int:
        return 10 // number

    assert [app(1), app(2)] == [10, 5]
    with pytest.raises(ZeroDivisionError):
        app(0)
    assert app(5) == 2
    assert (driver.entered, driver.left) == (["a"] * 4, 3)
    assert told == [("a", "NoneType"), ("a", "NoneType"), ("a", "ZeroDivisionError"), ("a", "NoneType")]


def test_an_asynchronous_manager_is_one_too(told: Told) -> None:
    driver = Driver()

    @driver.pipeline_async(name="a")
    async def app(number: int) -> int:
        await asyncio.sleep(0)
        return 10 // number

    async def several() -> list[int]:
        return list(await asyncio.gather(app(1), app(2), app(5)))

    assert asyncio.run(several()) == [10, 5, 2]
    assert (driver.entered, driver.left) == (["a"] * 3, 3)
    assert told == [("a", "NoneType")] * 3


def test_a_decorated_function_may_call_itself(told: Told) -> None:
    driver = Driver()

    @driver.pipeline("a")
    def app(depth: int) -> int:
        return app(depth - 1) + 1 if depth else 0

    assert app(3) == 3
    assert (len(driver.entered), driver.left, len(told)) == (4, 4, 4)


def _twice(method: Callable[..., Any]) -> str:
    manager = method("a")
    with manager as name:
        assert name == "a"
    with pytest.raises(Exception) as found, manager:  # whichever the standard library has
        pass
    return repr(found.value)


def test_a_manager_that_was_used_is_used_up_as_before(told: Told) -> None:
    ours, unwrapped = Driver().pipeline, getattr(Driver.pipeline, "__wrapped__")  # noqa: B009  set by ours
    assert _twice(ours) == _twice(lambda name: unwrapped(Driver(), name))
    assert len(told) == 1


@pytest.mark.parametrize("method", ["pipeline", "pipeline_async"])
def test_wrong_arguments_are_refused_at_the_call(told: Told, method: str) -> None:
    driver = Driver()
    with pytest.raises(TypeError, match="name"):
        getattr(driver, method)()
    with pytest.raises(TypeError):
        getattr(driver, method)("a", "b")
    assert (driver.entered, told) == ([], [])


@pytest.mark.parametrize("method", ["pipeline", "pipeline_async"])
def test_a_manager_is_of_the_drivers_kind(told: Told, method: str) -> None:
    wrapped = getattr(Driver(), method)("a")
    unwrapped = getattr(Driver, method).__wrapped__(Driver(), "a")
    assert type(wrapped) is type(unwrapped)
    assert wrapped.__doc__ == unwrapped.__doc__ == "A pipeline."
    assert told == []
