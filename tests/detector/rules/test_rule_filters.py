"""Filters: exclusion, expiry, and bad filters, which are reported and narrow nothing."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from backwatch.collector import names
from backwatch.collector.cli import main
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.log_entries import Loss
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.rules import rulebook
from tests.detector import streams
from tests.detector.rules.rule_texts import LOGSOURCE, rule, sigma_filter, text
from tests.detector.streams import SAFE, SECOND, Call, statement

REPORTING = {**SAFE, names.ACCOUNT: "reporting"}
IN_TEST = {**REPORTING, names.DB_NAMESPACE: "test"}
OWN_RULES = {"rules": "own-rule"}
END_NS = int(datetime(2030, 2, 1, tzinfo=UTC).timestamp()) * SECOND


def engine(folder: Path, *documents: dict[str, Any]) -> Engine:
    (folder / "own.yml").write_text(text(*documents))
    loaded = rulebook.read(str(folder))
    assert loaded.faults == ()
    return make_engine(EngineConfig(), str(folder))


def list_fired(one: Engine, *calls: tuple[int, Any]) -> list[int]:
    """Return the indexes of the calls on which the user's rule was raised."""
    made = [Call(at, session, statement("SELECT ?")) for at, session in calls]
    found = one.step(one.new_shard(), streams.entry(streams.records(made)))
    times = [found.time_ns for found in found.iter_findings() if found.rule.name == "own-rule"]
    return [at for at, call in enumerate(made) if call.end_ns in times]


def test_filter_excludes_calls_that_fail_its_condition(tmp_path: Path) -> None:
    now = streams.START_NS
    both = engine(tmp_path, rule(), sigma_filter())
    assert list_fired(both, (now, REPORTING), (now + 1, IN_TEST), (now + 2, REPORTING)) == [0, 2]
    only = {**sigma_filter()["filter"], "condition": "selection"}
    kept = engine(tmp_path, rule(), sigma_filter(filter=only))
    assert list_fired(kept, (now, REPORTING), (now + 1, IN_TEST), (now + 2, REPORTING)) == [1]


def test_filter_expires_at_the_end_of_its_last_day_in_event_time(tmp_path: Path) -> None:
    narrowing = engine(tmp_path, rule(), sigma_filter())
    assert list_fired(narrowing, (END_NS - SECOND, IN_TEST), (END_NS, IN_TEST)) == [1]


def test_filters_on_one_rule_expire_separately(tmp_path: Path) -> None:
    days = [f"2030-01-{day:02}" for day in range(1, 21)]
    filters = [
        sigma_filter(expires=day, filter={**OWN_RULES, "s": {names.DB_NAMESPACE: f"db{i}"}, "condition": "not s"})
        for i, day in enumerate(days)
    ]  # fmt: skip
    one = engine(tmp_path, rule(), *filters)
    first = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp()) * SECOND
    calls = [(first + (i + 1) * 86_400 * SECOND - shift, {**REPORTING, names.DB_NAMESPACE: f"db{i}"})
             for i in range(20) for shift in (SECOND, 0)]  # fmt: skip
    assert list_fired(one, *calls) == list(range(1, 40, 2))


def test_any_narrows_every_call_rule_of_the_filters_service(tmp_path: Path) -> None:
    held = {**rule("held"), "logsource": {**LOGSOURCE, "service": "postgresql"}}
    (tmp_path / "own.yml").write_text(
        text(rule(), held, sigma_filter("any"), sigma_filter("any", logsource={**LOGSOURCE, "service": "postgresql"}))
    )
    loaded = rulebook.read(str(tmp_path))
    assert loaded.faults == ()
    narrowed = {one.name: len(one.narrowings) for one in loaded.rules.rules}
    assert {narrowed[one.name] for one in loaded.rules.rules if one.over == "call" and not one.service} == {1}
    assert narrowed["held"] == 2
    assert {narrowed[one.name] for one in loaded.rules.rules if one.over != "call"} == {0}


def test_rule_is_named_by_its_name_or_its_id(tmp_path: Path) -> None:
    now = streams.START_NS
    assert list_fired(engine(tmp_path, rule(), sigma_filter([rule()["id"]])), (now, IN_TEST)) == []


def test_loss_rules_are_narrowed_by_their_readable_fields_until_expiry(tmp_path: Path) -> None:
    lost = {"rules": ["telemetry-loss"], "s": {"backwatch.loss.count|lt": 10}, "condition": "not s"}
    one = engine(tmp_path, rule(), sigma_filter(filter=lost))

    def raised(count: int, time_ns: int) -> bool:
        return bool(list(one.step(one.new_shard(), Loss("dropped.queue", count, time_ns, "shop")).iter_findings()))

    assert [raised(7, END_NS - SECOND), raised(10, END_NS - SECOND), raised(7, END_NS)] == [False, True, True]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (sigma_filter(("no-such-rule",)), "rules:|filter.rules: no rule is called 'no-such-rule'"),
        (sigma_filter(expires="soon"), "expires:|backwatch.expires: must be the last day"),
        (sigma_filter(expires=datetime(2030, 1, 1, 12, tzinfo=UTC)), "expires:|backwatch.expires: must be"),
        (sigma_filter(backwatch={"reason": "x"}), "backwatch:|backwatch.expires: must be the last day"),
        (sigma_filter(backwatch={"expires": "2030-01-31"}), "backwatch:|backwatch.reason: must have 1 to"),
        (sigma_filter(backwatch={"expires": "2030-01-31", "reason": " "}), "reason:|backwatch.reason: must have 1 to"),
        (sigma_filter(backwatch={"expires": "2030-01-31", "reason": "x", "by": 1}), "by:|backwatch.by: is unknown"),
        (sigma_filter(logsource={"product": "windows"}), "logsource:|logsource: must be product"),
        (sigma_filter(logsource={**LOGSOURCE, "service": "mysql"}), "service:|logsource.service: is 'mysql'"),
        (sigma_filter(filter={**OWN_RULES, "s": {"x.y": 1}, "condition": "not s"}), "x.y:|x.y: is no field"),
        (sigma_filter(filter={**OWN_RULES, "s": {"x|base64": "1"}, "condition": "s"}), "x|base64:|x: the modi"),
        (sigma_filter(filter={**OWN_RULES, "s": {names.ACCOUNT: "a"}}), "filter:|filter.condition: "),
        (sigma_filter(filter={**OWN_RULES, "s": {names.ACCOUNT: "a"}, "condition": "not t"}), "condition:|cond"),
        (sigma_filter(filter={"s": {names.ACCOUNT: "a"}, "condition": "not s"}), "filter:|filter.rules: "),
        (sigma_filter(filter={"rules": [{"a": 1}], "s": {names.ACCOUNT: "a"}, "condition": "not s"}), "rules:|fil"),
        (sigma_filter(filter=7), "filter:|filter: "),
    ],
)  # fmt: skip
def test_bad_filter_is_reported_in_one_line_and_has_no_effect(
    tmp_path: Path, changed: dict[str, Any], expected: str
) -> None:
    (tmp_path / "own.yml").write_text(text(rule(), changed))
    loaded = rulebook.read(str(tmp_path))
    (fault,) = loaded.faults
    word, _, reason = expected.rpartition("|")
    lines = (tmp_path / "own.yml").read_text().splitlines()
    second = lines.index("---")
    assert fault.line > second + 1
    assert lines[fault.line - 1].strip("- ").startswith(word.split("|")[0]), (lines[fault.line - 1], str(fault))
    assert fault.reason.startswith(reason)
    assert "\n" not in str(fault)
    assert all(not one.narrowings for one in loaded.rules.rules)
    assert "own-rule" in loaded.own


def run_rules(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["rules", *arguments], env={"BACKWATCH_RULES_DIR": str(folder)})


def test_filters_are_listed_with_reason_and_expiry(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(
        text(rule(), sigma_filter(("own-rule", "weak-tls"), "2190-01-31"), sigma_filter(expires="2020-01-31"))
    )
    lines = run_rules(tmp_path, "list").stdout.splitlines()[-2:]
    assert lines == [
        "filter        until 2190-01-31: own-rule, weak-tls: Nothing real is in it. (Our Test Database)",
        "filter        expired 2020-01-31: own-rule: Nothing real is in it. (Our Test Database)",
    ]
    found = [json.loads(line) for line in run_rules(tmp_path, "list", "--json").stdout.splitlines()[-2:]]
    assert [(one["expired"], one["rules"]) for one in found] == [
        (False, ["own-rule", "weak-tls"]),
        (True, ["own-rule"]),
    ]


def test_check_accepts_an_expired_filter_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(text(rule(), sigma_filter(expires="2020-01-31")))
    result = run_rules(tmp_path, "check")
    line = next(at for at, one in enumerate((tmp_path / "own.yml").read_text().splitlines(), 1) if "expires" in one)
    assert f"warning: {tmp_path / 'own.yml'}:{line}: 'Our Test Database' has expired" in result.stderr
    assert (result.exit_code, result.stdout) == (0, "")
    assert "2 good, 0 bad" in result.stderr


def test_explanation_of_a_filtered_rule_lists_the_filter(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(text(sigma_filter("weak-tls", "2190-01-31")))
    page = run_rules(tmp_path, "explain", "weak-tls").stdout
    assert page.endswith("\nNarrowed here\n  - Our Test Database (until 2190-01-31): Nothing real is in it.\n")
    found = json.loads(run_rules(tmp_path, "explain", "weak-tls", "--json").stdout)["narrowed_by"]
    assert [(one["reason"], one["expires"]) for one in found] == [("Nothing real is in it.", "2190-01-31")]
    assert "Narrowed here" not in run_rules(tmp_path, "explain", "tls-stripped").stdout


def test_filter_changes_no_examples_outcome(tmp_path: Path) -> None:
    all_of_it = {"rules": "weak-tls", "s": {names.ACCOUNT: "none"}, "condition": "s"}
    (tmp_path / "own.yml").write_text(text(sigma_filter(filter=all_of_it)))
    assert run_rules(tmp_path, "test", "weak-tls").exit_code == 0


def test_broken_document_does_not_affect_others_in_its_file(tmp_path: Path) -> None:
    file = f"{text(rule())}---\ntitle: [\n---\n# nothing\n---\n{text(rule('other'))}"
    (tmp_path / "own.yml").write_text(file)
    loaded = rulebook.read(str(tmp_path))
    assert loaded.own == {"own-rule", "other"}
    assert [one.line for one in loaded.faults] == [file.splitlines().index("title: [") + 2]
