"""Call sites: who put a statement together, on which way the app came there, and what is none of the app's code."""

import contextlib
import functools
from collections.abc import Callable, Generator
from email.message import Message
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from django.utils.functional import SimpleLazyObject
from werkzeug.local import LocalProxy

from backwatch.collector.pipeline.call_site import clear_cache, find_call_site
from backwatch.collector.runtime.record import CallSite

HERE = "tests/collector/pipeline/test_call_site.py"
SQL = "SELECT name FROM pet WHERE id = 1"


@pytest.fixture(autouse=True)
def _fresh() -> None:  # pyright: ignore[reportUnusedFunction]
    clear_cache()


def send(statement: Any) -> CallSite:
    return cast("CallSite", find_call_site(sql=statement))  # pytest writes ``locals()`` into an assert


def rows(statement: str, *, limit: int = 10) -> CallSite:
    del limit
    return send(statement.replace("%s", "?"))


def variadic(*args: Any) -> CallSite:
    return rows(*args)


def load_pet() -> CallSite:
    return rows("SELECT name FROM pet WHERE id = %s")


def load_owner() -> CallSite:
    return variadic("SELECT name FROM owner WHERE id = %s")


def search(word: str) -> CallSite:
    del word
    site = find_call_site(sql="SELECT * FROM pet WHERE name LIKE '%select one%'")
    assert site is not None
    return site


def test_helper_that_passes_a_statement_on_is_no_call_site() -> None:
    sites = [load_pet(), load_owner(), load_pet()]
    assert [site.function for site in sites] == ["load_pet", "load_owner", "load_pet"]
    assert {site.file for site in sites} == {HERE}
    here = f"{HERE}:test_helper_that_passes_a_statement_on_is_no_call_site"
    assert sites[0].path == f"{here} > {HERE}:load_pet > {HERE}:send"


def test_statement_objects_are_passed_on_too() -> None:
    def build() -> CallSite:
        return send(sa.text("SELECT 1"))

    def write() -> CallSite:
        return send(Message())

    assert build().function.endswith("build")
    clear_cache()
    assert write().function == "send"


def test_input_that_looks_like_sql_is_no_statement() -> None:
    assert search("select one").function == "search"


def test_lazy_objects_beside_a_statement_are_not_evaluated() -> None:
    def evaluate() -> object:
        raise RuntimeError

    def find(sql: str, _user: object, *_more: object) -> CallSite:
        return send(sql)

    lazy = SimpleLazyObject(evaluate)
    found = find("SELECT a FROM t", lazy, LocalProxy(evaluate), lazy)
    assert found.function.endswith("test_lazy_objects_beside_a_statement_are_not_evaluated")


def test_path_names_the_caller_first() -> None:
    def inner() -> CallSite:
        site = find_call_site()
        assert site is not None
        return site

    def outer() -> CallSite:
        return inner()

    labels = [label.rpartition(".")[2].rpartition(":")[2] for label in outer().path.split(" > ")]
    assert labels == ["outer", "inner"]


def test_recursion_is_no_caller() -> None:
    def descend(depth: int) -> CallSite:
        if depth:
            return descend(depth - 1)
        site = find_call_site()
        assert site is not None
        return site

    assert descend(1).path == descend(2).path == ""


def test_comprehension_belongs_to_its_function() -> None:
    (site,) = [find_call_site() for _ in range(1)]
    assert site is not None
    assert site.function == "test_comprehension_belongs_to_its_function"


@contextlib.contextmanager
def module(folder: Path, name: str, text: str) -> Generator[Any]:
    file = folder / f"{name.replace('.', '/')}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    values: dict[str, Any] = {"__name__": name}
    exec(compile(text, str(file), "exec"), values)  # noqa: S102  a module of another folder
    yield values


PASS = "def run(call):\n    return call()\n"


@pytest.mark.parametrize("server", ["gunicorn.workers.sync", "uvicorn.server", "celery.app.trace"])
def test_framework_page_under_a_server_has_no_call_site(server: str, tmp_path: Path) -> None:
    libraries = tmp_path / "site-packages"
    with module(libraries, server, PASS) as runner, module(libraries, "django.contrib.admin", PASS) as page:
        show: Callable[[], Any] = functools.partial(page["run"], find_call_site)
        assert runner["run"](show) is None
        assert show() is not None


def test_attached_client_is_no_call_site(tmp_path: Path) -> None:
    file = str(tmp_path / "src/backwatch/resource/systems/redis/connection.py")  # of a development install
    names: dict[str, Any] = {}
    exec(compile("def read_reply(send, statement):\n    sent = send(statement)\n    return sent", file, "exec"), names)  # noqa: S102
    site = names["read_reply"](send, SQL)
    assert site.path.endswith(f"{HERE}:send")
    assert "resource" not in site.path
    assert site.function == "test_attached_client_is_no_call_site"


def test_start_script_of_an_entry_point_is_no_call_site(tmp_path: Path) -> None:
    found: dict[str, Any] = {"__name__": "__main__", "find": find_call_site}
    for name, function in (("gunicorn", "run"), ("job.py", "<module>")):
        exec(compile("site = find()", str(tmp_path / "bin" / name), "exec"), found)  # noqa: S102  a start script
        assert (found["site"].function == "<module>") == (function == "<module>")


def test_file_does_not_depend_on_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[str] = []
    for folder in (tmp_path, tmp_path.parent):
        monkeypatch.chdir(folder)
        clear_cache()
        with module(tmp_path / "src", "shop.orders", PASS) as orders:
            files.append(orders["run"](find_call_site).file)
    assert files == ["shop/orders.py", "shop/orders.py"]
