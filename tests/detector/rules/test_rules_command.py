"""``backwatch rules``: a bad user rule is reported and stops no other. Verdicts are explained."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.collector.cli import EXIT_SETTING, EXIT_USAGE, main
from backwatch.collector.settings import SettingError
from backwatch.detector import detectors
from backwatch.detector.rules import rulebook
from backwatch.detector.rules.field_meanings import list_fields
from backwatch.detector.rules.rule_files import find_line
from backwatch.store.text import LEVELS

GOOD: dict[str, Any] = {
    "title": "A Test", "id": "00000000-0000-4000-8000-000000000001", "name": "own-rule", "level": "low",
    "logsource": {"product": "opentelemetry", "category": "backing_service_call"},
    "detection": {"s": {names.ACCOUNT: "reporting"}, "condition": "s"},
    "backwatch": {
        "key": "resource",
        "tests": [
            {"name": "that account", "fires": True, "facts": {names.ACCOUNT: "reporting"}},
            {"name": "another one", "fires": False, "facts": {names.ACCOUNT: "shop"}},
        ],
    },
}  # fmt: skip


def run_rules(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, ["rules", *arguments], env=environment)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write one good rule and three bad ones: no YAML, unknown field, duplicate name."""
    (tmp_path / "a.yml").write_text("title: A\ndetection: [\n")
    (tmp_path / "b.yml").write_text(yaml.safe_dump({**GOOD, "detection": {"s": {"x.y": 1}, "condition": "s"}}))
    (tmp_path / "c.yml").write_text(yaml.safe_dump({**GOOD, "name": "weak-tls"}, sort_keys=False))
    (tmp_path / "d.yml").write_text(yaml.safe_dump(GOOD))
    return tmp_path


def test_bad_rule_is_one_line_with_file_line_and_reason(folder: Path) -> None:
    result = run_rules("check", str(folder))
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [line.split(": ")[0].rpartition(":")[0] for line in lines] == [str(folder / f"{stem}.yml") for stem in "abc"]
    line = next(at for at, one in enumerate((folder / "b.yml").read_text().splitlines(), 1) if "x.y" in one)
    assert lines[1] == f"{folder / 'b.yml'}:{line}: x.y: is no field that such a rule can read"
    assert lines[2] == f"{folder / 'c.yml'}:3: name: 'weak-tls' is used by weak-tls.yml already"
    assert "1 good, 3 bad" in result.stderr


def test_bad_rule_stops_no_other_and_is_logged_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "backwatch"):
        found = {one.name for one in rulebook.load(str(folder)).rules}
    assert {"own-rule", "weak-tls"} <= found
    found = [one.getMessage() for one in caplog.records]
    assert len(found) == 3
    assert all("\n" not in one and one.startswith("rule left out: ") for one in found)


@pytest.mark.parametrize(
    "circle", [{"one": ["two"], "two": ["one"]}, {"one": ["weak-tls", "two"], "two": ["three"], "three": ["one"]}]
)
def test_only_rules_that_supersede_each_other_are_left_out(tmp_path: Path, circle: dict[str, list[str]]) -> None:
    for name, others in {**circle, "above": ["one"], "beside": []}.items():
        own = {**GOOD, "name": name, "backwatch": {"key": "resource", "instead_of": others}}
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(own))
    loaded = rulebook.read(str(tmp_path))
    assert {one.file for one in loaded.faults} == {str(tmp_path / f"{name}.yml") for name in circle}
    for one in loaded.faults:
        line = Path(one.file).read_text().splitlines()[one.line - 1]
        assert (line.strip(), one.reason) == (
            "instead_of:", "backwatch.instead_of: comes back to itself: neither would be raised"
        )  # fmt: skip
    assert loaded.own == {"above", "beside"}
    assert len(loaded.rules.rules) == len(rulebook.read().rules.rules) + 2


def test_correlation_of_rules_that_supersede_each_other_is_left_out(tmp_path: Path) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        own = {**GOOD, "name": name, "backwatch": {"key": "resource", "instead_of": [other]}}
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(own))
    counts = {"type": "event_count", "rules": ["one"], "timespan": "5m", "condition": {"gte": 3}, "generate": True}
    written = {**GOOD, "name": "many", "correlation": counts, "backwatch": {"key": "resource"}}
    del written["detection"], written["logsource"]
    (tmp_path / "many.yml").write_text(yaml.safe_dump(written))
    loaded = rulebook.read(str(tmp_path))
    assert [one.reason for one in loaded.faults if one.file.endswith("many.yml")] == [
        "correlation.rules: no rule is called 'one'"
    ]
    assert loaded.own == frozenset()


def test_missing_folder_is_refused() -> None:
    with pytest.raises(SettingError, match="BACKWATCH_RULES_DIR='/nowhere': is not a folder"):
        rulebook.load("/nowhere")
    assert run_rules("check", BACKWATCH_RULES_DIR="/nowhere").exit_code == EXIT_SETTING
    assert run_rules("check", "/nowhere").exit_code == EXIT_USAGE


def test_good_rules_pass_the_check(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(yaml.safe_dump(GOOD))
    result = run_rules("check", str(tmp_path))
    assert (result.exit_code, result.stdout) == (0, "")


def test_example_with_another_result_fails_the_test(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(yaml.safe_dump(GOOD))
    assert run_rules("test", str(tmp_path)).exit_code == 0
    assert run_rules("test", "own-rule", BACKWATCH_RULES_DIR=str(tmp_path)).exit_code == 0
    wrong = yaml.safe_dump(GOOD).replace("fires: false", "fires: true")
    (tmp_path / "own.yml").write_text(wrong)
    result = run_rules("test", str(tmp_path))
    assert result.exit_code == 1
    assert result.stdout == "own.yml: own-rule: 'another one': expected: fires; raised: nothing\n"


def test_rules_alone_lists_as_list_does() -> None:
    assert run_rules().stdout == run_rules("list").stdout
    assert run_rules("--json").stdout == run_rules("list", "--json").stdout
    levels = [LEVELS.index(line.split()[0]) for line in run_rules().stdout.splitlines()]
    assert levels == sorted(levels, reverse=True)


def test_every_field_has_a_meaning() -> None:
    assert [one.field for one in list_fields(detectors.discover()) if not one.meaning] == []
    first = json.loads(run_rules("fields", "--json").stdout.splitlines()[0])
    assert set(first) == {"field", "over", "kind", "detector", "meaning"}


def test_minimal_rule_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(yaml.safe_dump(GOOD))
    text = run_rules("explain", "own-rule", BACKWATCH_RULES_DIR=str(tmp_path)).stdout
    assert text.startswith("own-rule · low\nA Test\n")
    assert "\nHow it is done to you\n  - that account\n" in text
    assert f"\nEvidence to look at\n  - {names.ACCOUNT}: Account of the session" in text


@pytest.mark.parametrize(
    ("own", "reason"),
    [({"how": "by night"}, "must be a list of texts"), ({"how": [""]}, "must be a list of texts"),
     ({"parameters": ["no-such"]}, "there is no list 'no-such'; known are")],
)  # fmt: skip
def test_fields_of_a_rule_page_are_checked(tmp_path: Path, own: dict[str, Any], reason: str) -> None:
    (tmp_path / "own.yml").write_text(yaml.safe_dump({**GOOD, "backwatch": {"key": "resource", **own}}))
    assert reason in run_rules("check", str(tmp_path)).stdout


def test_rule_is_explained_as_text_and_as_json() -> None:
    assert run_rules("explain", "tls-stripped").stdout.startswith("tls-stripped · high\nExpected Encryption Is Missing")
    assert json.loads(run_rules("explain", "tls-stripped", "--json").stdout)["instead_of"] == ["plaintext-session"]


def test_unknown_rule_name_is_a_usage_error() -> None:
    result = run_rules("explain", "tls-striped")
    assert result.exit_code == 2
    assert "is tls-stripped meant?" in result.stderr


@given(st.text(), st.text(max_size=40))
def test_line_is_found_in_any_text(text: str, where: str) -> None:
    assert 1 <= find_line(text, where) <= max(1, len(text.splitlines()))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"escalates": "nothing"}, "backwatch.escalates: no rule over calls is called 'nothing'"),
        ({"escalates": "injection-read-out"}, "backwatch.escalates: no rule over calls is called"),
        ({"escalates": "query-attack", "key": "resource"}, "backwatch.key: must be site, the key of query-attack"),
        ({"escalates": "query-attack", "level": "high"}, "level: must be above that of query-attack, high; got high"),
    ],
)
def test_a_rule_that_cannot_escalate_is_left_out(tmp_path: Path, changed: dict[str, str], problem: str) -> None:
    own = {"key": "site", **{name: value for name, value in changed.items() if name != "level"}}
    document = {**GOOD, "name": "own-rule", "level": changed.get("level", "critical"), "backwatch": own}
    (tmp_path / "own.yml").write_text(yaml.safe_dump(document))
    result = run_rules("check", BACKWATCH_RULES_DIR=str(tmp_path))
    assert problem in result.output
    assert result.exit_code != 0


def test_explain_names_the_rule_that_is_raised() -> None:
    assert json.loads(run_rules("explain", "injection-read-out", "--json").stdout)["escalates"] == "query-attack"
