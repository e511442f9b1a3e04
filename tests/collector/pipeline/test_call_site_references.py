"""Finding the call site keeps no variable of the app alive, and changes none."""

import asyncio
import contextlib
import gc
import sqlite3
import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any

import pytest

from backwatch.collector import names
from backwatch.collector.pipeline.call_site import clear_cache, find_call_site
from backwatch.collector.probes.sqlite3 import SQLiteProbe
from tests.collector.memory_stream import MemoryStream, read_attributes
from tests.collector.pipeline.pipelines import MakePipeline

SQL = "SELECT name FROM pet WHERE id = 1"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """Only counting frees an object here, as in an app between two collections."""
    clear_cache()
    gc.disable()
    yield
    gc.enable()


class Held:
    """What the app keeps in a local variable and deletes."""


def send(sql: str) -> str:
    site = find_call_site(sql=sql)
    return "" if site is None else site.function.rpartition(".")[2]


def call(sql: str, held: Held) -> tuple[str, object]:
    reference, function = weakref.ref(held), send(sql)
    del held
    return function, reference()


def call_with_keywords(*, sql: str) -> tuple[str, object]:
    held = Held()
    reference, function = weakref.ref(held), send(sql=sql)
    del held
    return function, reference()


def call_variadic(*args: Any, **kwargs: Any) -> tuple[str, object]:
    held = Held()
    reference, function = weakref.ref(held), send(*args, **kwargs)
    del held
    return function, reference()


def call_in_loop(sql: str) -> tuple[str, object]:
    function, references = "", list[weakref.ref[Held]]()
    for _ in range(3):
        held = Held()
        references.append(weakref.ref(held))
        function = send(sql)
        del held
    return function, [reference() for reference in references if reference() is not None] or None


def call_with_cell(sql: str) -> tuple[str, object]:
    held: Held | None = Held()
    reference = weakref.ref(held)

    def inner(statement: str) -> str:
        return send(statement) if held else ""

    function = inner(sql)
    held = None
    return function, reference()


def call_in_generator(sql: str) -> tuple[str, object]:
    def rows(sql: str) -> Generator[tuple[str, object]]:
        held = Held()
        reference, function = weakref.ref(held), send(sql)
        del held
        yield function, reference()

    return next(rows(sql))


def call_in_coroutine(sql: str) -> tuple[str, object]:
    async def rows(sql: str) -> tuple[str, object]:
        held = Held()
        reference, function = weakref.ref(held), send(sql)
        del held
        await asyncio.sleep(0)
        return function, reference()

    async def stream(sql: str) -> AsyncGenerator[tuple[str, object]]:
        held = Held()
        reference, (function, kept) = weakref.ref(held), await rows(sql)
        del held
        yield function, kept or reference()

    async def run() -> tuple[str, object]:
        return await anext(stream(sql))

    return asyncio.run(run())


class Repository:
    def call(self, sql: str) -> tuple[str, object]:
        held = Held()
        reference, function = weakref.ref(held), self.run(sql)
        del held
        return function, reference()

    @classmethod
    def run(cls, *statements: str) -> str:
        return send(statements[0])


KINDS: dict[str, Callable[[], tuple[str, object]]] = {
    "argument": lambda: call(SQL, Held()),
    "keywords": lambda: call_with_keywords(sql=SQL),
    "variadic": lambda: call_variadic(SQL),
    "loop": lambda: call_in_loop(SQL),
    "cell": lambda: call_with_cell(SQL),
    "generator": lambda: call_in_generator(SQL),
    "coroutine": lambda: call_in_coroutine(SQL),
    "method": lambda: Repository().call(SQL),
}


@pytest.mark.parametrize("kind", KINDS)
def test_object_that_a_helper_deletes_is_freed(kind: str) -> None:
    def load() -> tuple[str, object]:
        return KINDS[kind]()

    function, kept = load()
    assert kept is None
    assert function in {"<lambda>", "load", "run"}  # each is a helper: it was given the statement


def test_object_is_freed_while_a_driver_is_watched(make: MakePipeline, log: MemoryStream) -> None:
    pipeline, probe = make(), SQLiteProbe()

    def run(connection: sqlite3.Connection, sql: str, parameters: tuple[object, ...]) -> object:
        held = Held()
        reference = weakref.ref(held)
        connection.execute(sql, parameters).fetchall()
        del held
        return reference()

    probe.instrument(recorder=pipeline, skip_dep_check=True)
    try:
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            assert run(connection, "SELECT name FROM sqlite_master WHERE 1 = ?", (1,)) is None
    finally:
        probe.uninstrument()
    assert pipeline.flush(5)
    functions = [str(read_attributes(span.attributes).get(names.CODE_FUNCTION)) for span in log.spans()]
    assert set(functions[1:]) == {"test_object_is_freed_while_a_driver_is_watched"}


def test_loop_over_own_variables_goes_on_in_a_helper() -> None:
    def run(sql: str) -> int:
        count = 0
        for _, _value in locals().items():
            count += bool(send(sql))
        return count

    assert run(SQL) == 2


def test_variables_that_another_tool_holds_are_left_as_they_are() -> None:
    def run(sql: str) -> tuple[str, dict[str, Any]]:
        variables = hold()
        return send(sql), variables

    def hold() -> dict[str, Any]:
        return sys._getframe(1).f_locals

    function, variables = run(SQL)
    assert variables["sql"] == SQL
    assert function.startswith("test_variables")


def test_trace_function_in_python_loses_no_variable() -> None:
    found = list[str]()

    def run(sql: str) -> str:
        count = 1
        count += 1
        return f"{sql}{count}"

    def trace(_frame: Any, event: str, _argument: object) -> Any:
        if event == "line":
            found.append(send(SQL))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        text = run(SQL)
    finally:
        sys.settrace(before)
    assert text == f"{SQL}2"
    assert found
