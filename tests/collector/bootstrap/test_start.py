"""Installation and removal of probes with the app's own imports."""

import importlib
import importlib.util
import logging
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from backwatch.collector.bootstrap import start
from backwatch.collector.probes import discover
from backwatch.collector.runtime import import_hooks, shutdown

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "drivr").mkdir()
    (tmp_path / "drivr" / "__init__.py").write_text(
        "from drivr import inner\nloader = __loader__\nvalue = inner.value\n"
    )
    (tmp_path / "drivr" / "inner.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "drivr"
    import_hooks.clear()
    for name in ("drivr", "drivr.inner"):
        sys.modules.pop(name, None)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("BACKWATCH_STREAM_URL", f"sqlite:///{tmp_path}/stream.db")
    start.start()
    yield
    start.stop()


def test_an_import_callback_runs_once_after_the_module_is_executed(package: str) -> None:
    imported: list[ModuleType] = []
    import_hooks.on_import(package, imported.append)
    import_hooks.on_import(f"{package}.inner", imported.append)
    assert not imported
    module = importlib.import_module(package)
    assert imported == [sys.modules[f"{package}.inner"], module]
    assert module.value == 1
    import_hooks.on_import(package, imported.append)
    assert imported[2:] == [module]


def test_a_module_sees_the_loader_it_would_have_had_without_us(package: str) -> None:
    import_hooks.on_import(package, lambda _: None)
    module = importlib.import_module(package)
    assert type(module.loader).__name__ == "SourceFileLoader"
    assert module.__spec__ is not None
    assert module.loader is module.__spec__.loader is module.__loader__


def test_an_imported_module_shows_its_original_loader(package: str) -> None:
    import_hooks.on_import(package, lambda _: None)
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert isinstance(spec.loader, SourceFileLoader)
    assert spec.loader.path == spec.origin


def test_an_import_that_fails_fails_as_it_would_without_us(package: str, tmp_path: Path) -> None:
    (tmp_path / "drivr" / "__init__.py").write_text("raise ImportError('the driver refuses')\n")
    import_hooks.on_import(package, lambda _: pytest.fail("called for a missing module"))
    with pytest.raises(ImportError, match="the driver refuses"):
        importlib.import_module(package)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_driver")


def test_after_forget_the_import_system_is_as_it_was(package: str) -> None:
    before = list(sys.meta_path)
    import_hooks.on_import(package, lambda _: pytest.fail("called after all"))
    assert before != sys.meta_path
    import_hooks.clear()
    assert before == sys.meta_path
    importlib.import_module(package)


def test_starting_twice_is_idempotent_and_stopping_restores_the_drivers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sqlite3

    monkeypatch.setenv("BACKWATCH_STREAM_URL", f"sqlite:///{tmp_path}/stream.db")
    before = dict(vars(sqlite3))
    start.start()
    once = dict(vars(sqlite3))
    pipeline = start.get_pipeline()
    start.start()
    assert "sqlite3" in start.get_active_probes()
    assert once == vars(sqlite3) != before
    assert pipeline is start.get_pipeline() is not None
    start.stop()
    assert before == vars(sqlite3)
    assert (None, frozenset()) == (start.get_pipeline(), start.get_active_probes())


def test_a_probe_that_is_switched_off_by_name_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    before = dict(vars(sqlite3))
    monkeypatch.setenv("BACKWATCH_DISABLED_PROBES", "sqlite3, redis")
    start.start()
    assert before == vars(sqlite3)
    start.stop()


def test_an_unsupported_driver_version_is_reported_and_not_wrapped(
    started: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (probe,) = [one for one in discover() if one.name == "psycopg"]
    monkeypatch.setattr(probe, "distributions", ("psycopg>=999",))
    monkeypatch.setattr(probe, "name", "psycopg-future")
    with caplog.at_level(logging.WARNING):
        start._installer(probe)(sys)
    assert "psycopg>=999" in caplog.text
    assert "psycopg-future" not in start.get_active_probes()


def test_every_probes_file_bears_the_name_of_its_package() -> None:
    assert start.list_probe_packages() == sorted({one.__module__.rpartition(".")[2] for one in discover()})
    for one in discover():
        assert one.__module__.rpartition(".")[2] == one.module.partition(".")[0]


TWO = """
import threading
from backwatch.collector.bootstrap import start
start.start()
barrier = threading.Barrier(2)

def imports(module):
    barrier.wait()
    __import__(module)

threads = [threading.Thread(target=imports, args=(module,)) for module in ("sqlite3", "http.client")]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
from backwatch.collector.pipeline import pipeline
print([one is start.get_pipeline() for one in pipeline._open_pipelines], sorted(start.get_active_probes()))
"""


def test_threads_that_import_the_first_drivers_at_once_make_one_pipeline() -> None:
    done = subprocess.run([sys.executable, "-c", TWO], capture_output=True, text=True, check=False, timeout=100)
    assert (done.stdout, done.stderr) == ("[True] ['http', 'sqlite3']\n", "")


def test_concurrent_pipeline_starts_leave_one_pipeline(monkeypatch: pytest.MonkeyPatch, started: None) -> None:
    from backwatch.collector.pipeline import pipeline

    inner: list[pipeline.Pipeline | None] = []

    class Slow(pipeline.Pipeline):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            if not inner:
                inner.append(None)
                inner[0] = start.start_pipeline()  # a destructor's driver call, an import hook's import

    start.stop()
    before = set(pipeline._open_pipelines)
    monkeypatch.setattr(pipeline, "Pipeline", Slow)
    assert start.start_pipeline() is inner[0] is start.get_pipeline() is not None
    assert {inner[0]} == set(pipeline._open_pipelines) - before


def test_pending_records_are_delivered_when_all_probes_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    hook_calls: list[int] = []
    monkeypatch.setattr(shutdown, "_hooks", [lambda: hook_calls.append(len(start.get_active_probes()))])
    monkeypatch.setattr(start, "_active", {"of a driver": SimpleNamespace(uninstrument=lambda: None)})
    start.stop()
    assert hook_calls == [1]
