"""Which recorded calls prove a need of the audited account."""

from pathlib import Path

import pytest

from backwatch.collector import names
from backwatch.detector.audit import seen as seen_module
from backwatch.detector.audit.seen import Filter, SeenCalls, read_files
from tests.detector.audit.recorded_calls import NOW_NS, SELECT, write


def read(*files: str, **changes: object) -> SeenCalls:
    chosen = Filter(systems=frozenset({"postgresql"}), account="shop", addresses=frozenset({("db", 5432)}))
    for name, value in changes.items():
        setattr(chosen, name, value)
    return read_files(files, chosen)


def test_equal_calls_are_counted_as_one(tmp_path: Path) -> None:
    found = read(write(tmp_path, SELECT, SELECT), write(tmp_path, SELECT))

    assert [(call.statement, seen.count) for call, seen in found.calls.items()] == [("SELECT a FROM t", 3)]


def test_a_failed_call_proves_nothing(tmp_path: Path) -> None:
    found = read(write(tmp_path, SELECT | {names.ERROR_TYPE: "InsufficientPrivilege"}))

    assert (len(found.calls), found.failed) == (0, 1)


def test_another_account_app_address_or_time_proves_nothing(tmp_path: Path) -> None:
    file = write(tmp_path, SELECT)

    assert read(write(tmp_path, SELECT, account="mallory")).count == 0
    assert read(file, app="other").count == 0
    assert read(file, addresses=frozenset({("db", 5433)})).count == 0
    assert read(file, since_ns=NOW_NS + 1).count == 0
    assert read(file, systems=frozenset({"mysql"})).count == 0
    assert read(file, addresses=frozenset[tuple[str, int]](), app="shop").count == 1


def test_calls_of_other_accounts_are_named(tmp_path: Path) -> None:
    assert read(write(tmp_path, SELECT, account="mallory")).others == {"mallory at db:5432": 1}


def test_a_call_without_account_counts_and_is_counted(tmp_path: Path) -> None:
    found = read(write(tmp_path, SELECT, account=""))

    assert (found.count, found.without_account) == (1, 1)


def test_different_calls_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_module, "MAX_CALLS", 3)
    file = write(tmp_path, *(SELECT | {names.QUERY_TEXT: f"SELECT a{at} FROM t"} for at in range(10)))

    found = read(file)

    assert (len(found.calls), found.beyond) == (3, 7)


def test_what_is_no_otlp_is_counted(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"\x00\xff" * 40)

    found = read(str(tmp_path / "bad"), write(tmp_path, SELECT))

    assert (found.unreadable, found.count) == (1, 1)
