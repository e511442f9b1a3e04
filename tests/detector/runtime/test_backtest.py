"""``backwatch backtest`` shows which alerts other settings and rules would bring."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from backwatch.collector import names
from backwatch.detector.backtest_command import backtest, parse_since
from backwatch.detector.rules.rulebook import load as load_rules
from backwatch.detector.runtime.backtest import judge_rollups
from backwatch.store import tables
from backwatch.store.commit import Rollup
from backwatch.store.connect import open_store
from backwatch.store.migrate import upgrade
from tests.detector import streams

PLAIN: dict[str, Any] = {
    names.DB_SYSTEM: "postgresql", names.SERVER_ADDRESS: "localhost", names.TLS_ESTABLISHED: False,
    names.PEER_ADDRESS: "127.0.0.1", names.TRANSPORT: "tcp",
}  # fmt: skip
MINUTE = 60 * 10**9
RULE = """
title: Any Query
id: 5b3f3c0a-0d2c-4c1e-9a39-0a6c0c0c9c11
name: any-query
status: experimental
description: Detects any statement.
logsource: {product: opentelemetry, category: backing_service_call}
detection:
  selection: {db.system.name: postgresql}
  condition: selection
level: low
backwatch: {key: resource}
"""
VOLUME_RULE = RULE.replace("any-query", "busy-minute").replace("Any Query", "Busy Minute").replace(
    "{db.system.name: postgresql}", "{backwatch.volume.calls.per_month|lte: 5, calls|gte: 20}"
).replace("{key: resource}", "{key: resource, over: window}")  # fmt: skip


@pytest.fixture
def spans(tmp_path: Path) -> str:
    path = tmp_path / "spans.pb"
    path.write_bytes(streams.encode([streams.Call(streams.START_NS, PLAIN, streams.statement("SELECT ?"))]))
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(backtest, arguments, env={"BACKWATCH_STORE_URL": ""})


def test_alert_of_another_setting_is_shown_as_new(spans: str) -> None:
    done = run("--set", "loopback=judge", "--json", spans)
    assert done.exit_code == 0, done.output
    alerts = {alert["rule"]: alert for alert in map(json.loads, done.stdout.splitlines())}
    assert alerts["plaintext-session"]["before"] is None
    assert alerts["plaintext-session"]["after"]["firings"] == 1


def test_table_names_what_came_and_what_went(spans: str) -> None:
    done = run("--set", "BACKWATCH_DETECTOR_LOOPBACK=judge", spans)
    row = next(line.split() for line in done.stdout.splitlines() if line.startswith("plaintext-session"))
    assert row[-2:] == ["0", "1"]
    assert any(line.startswith("+ ") and "plaintext-session" in line for line in done.stdout.splitlines())


def test_same_settings_change_nothing(spans: str) -> None:
    assert "no alert came or went" in run(spans).stdout


def test_rules_of_a_folder_are_compared(spans: str, tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "any.yml").write_text(RULE)
    done = run("--rules-dir", str(folder), spans)
    assert done.exit_code == 0, done.output
    assert any(line.startswith("+ low any-query") for line in done.stdout.splitlines()), done.stdout


def test_alerts_before_since_are_left_out(spans: str) -> None:
    assert run("--since", "2100-01-01", "--set", "loopback=judge", "--json", spans).stdout == ""


def test_unreadable_input_is_exit_code_one(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"resourceSpans": [\n')
    assert run(str(broken)).exit_code == 1


@pytest.mark.parametrize("argument", ["--set=colour=red", "--set=group=other", "--set=loopback", "--since=soon"])
def test_wrong_argument_is_exit_code_two(spans: str, argument: str) -> None:
    assert run(argument, spans).exit_code == 2


def test_setting_without_files_is_exit_code_two() -> None:
    done = run("--set=loopback=judge")
    assert done.exit_code == 2
    assert "--set=loopback=judge: only with FILES" in done.output


def test_since_is_a_duration_or_a_date() -> None:
    assert parse_since("2w") == (14 * 86_400 * 10**9, 0)
    assert parse_since("2026-01-05T00:00:00+00:00") == (0, 1_767_571_200 * 10**9)


def minutes(count: int, spike_at: int) -> list[Rollup]:
    return [
        Rollup(
            resource_id="r1", end_ns=streams.START_NS // MINUTE * MINUTE + at * MINUTE, calls=10, errors=0, suspects=0,
            bytes_sent=1_000 + at % 7, bytes_received=(900_000_000 if at == spike_at else 20_000 + at % 13),
            rows_returned=100 + at % 5, rows_affected=0, duration_ns=10**7, new_statements=0,
        )
        for at in range(count)
    ]  # fmt: skip


def test_stored_minutes_are_judged_again() -> None:
    found, newest_ns = judge_rollups(minutes(4_000, 3_990), {"r1": ("shop", "postgresql db")}, load_rules())
    assert newest_ns == minutes(4_000, 3_990)[-1].end_ns
    spike = found["volume-spike r1"]
    assert (spike.app, spike.resource) == ("shop", "postgresql db")
    assert minutes(4_000, 3_990)[3_990].end_ns in spike.times


def test_stored_minutes_are_held_against_stored_alerts(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = open_store(url, check=False)
    upgrade(store)
    columns = {column.name for column in tables.rollup.columns}
    rows = [{name: getattr(minute, name) for name in columns} for minute in minutes(4_000, 3_990)]
    with store.begin() as connection:
        connection.execute(sa.insert(tables.rollup), rows)
    done = run("--store-url", url, "--since", "1d")
    assert done.exit_code == 0, done.output
    assert any(line.startswith("+ ") and "volume-spike" in line for line in done.stdout.splitlines()), done.stdout


def test_rule_over_minutes_is_tried_on_stored_minutes(tmp_path: Path) -> None:
    (tmp_path / "busy.yml").write_text(VOLUME_RULE)
    calls = [replace(minute, calls=60 if at == 3_500 else 10) for at, minute in enumerate(minutes(4_000, -1))]
    found, _ = judge_rollups(calls, {}, load_rules(str(tmp_path)))
    assert calls[3_500].end_ns in found["busy-minute r1"].times
    assert "volume-spike r1" not in found
