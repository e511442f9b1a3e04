"""Which recorded calls prove a need of the audited account."""

import time
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from backwatch.collector import names
from backwatch.detector.audit import seen as seen_module
from backwatch.detector.audit.seen import Filter, SeenCalls, read_files

NOW_NS = time.time_ns()


def pair(name: str, value: str | int) -> KeyValue:
    found = KeyValue(key=name)
    if isinstance(value, int):
        found.value.int_value = value
    else:
        found.value.string_value = value
    return found


def write(
    folder: Path, *calls: dict[str, str | int], account: str = "shop", app: str = "shop", at_ns: int = NOW_NS
) -> str:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.append(pair(names.SERVICE_NAME, app))
    scope = resource.scope_spans.add()
    scope.scope.name = names.SCOPE_CALLS
    session: dict[str, str | int] = {
        names.BACKWATCH_CONTRACT: 1, names.DB_SYSTEM: "postgresql", names.SERVER_ADDRESS: "db", names.SERVER_PORT: 5432,
        names.ACCOUNT: account,
    }  # fmt: skip
    scope.scope.attributes.extend(pair(name, value) for name, value in session.items() if value != "")
    for call in calls:
        span = scope.spans.add()
        span.trace_id, span.span_id, span.name, span.kind = b"1" * 16, b"2" * 8, "x", Span.SPAN_KIND_CLIENT
        span.start_time_unix_nano = span.end_time_unix_nano = at_ns
        span.attributes.extend(pair(name, value) for name, value in call.items())
    path = folder / f"{len(list(folder.iterdir()))}.pb"
    path.write_bytes(request.SerializeToString())
    return str(path)


def read(*files: str, **changes: object) -> SeenCalls:
    chosen = Filter(systems=frozenset({"postgresql"}), account="shop", addresses=frozenset({("db", 5432)}))
    for name, value in changes.items():
        setattr(chosen, name, value)
    return read_files(files, chosen)


SELECT: dict[str, str | int] = {names.QUERY_TEXT: "SELECT a FROM t", names.OPERATION: "SELECT"}


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
