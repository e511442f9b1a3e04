"""Valid and broken rules, filters and correlations. A fault is one line with its location."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.collector.cli import main
from backwatch.detector.rules import documents, rulebook
from backwatch.detector.rules.conditions import RuleError
from backwatch.detector.rules.rule_files import Fault
from tests.detector.rules.rule_texts import LOGSOURCE, correlation, rule, sigma_filter, text

WINDOW = rule("of-windows", {"s": {"calls|gt": 10}, "condition": "s"}, over="window")
TESTS = [
    {"name": "a burst", "fires": True,
     "calls": [{"at": 0, "every": 20, "repeat": 3, "facts": {names.ACCOUNT: "reporting"}}]},
    {"name": "one a minute", "fires": False,
     "calls": [{"at": 0, "every": 61, "repeat": 5, "facts": {names.ACCOUNT: "reporting"}}]},
    {"name": "of others too", "fires": False,
     "calls": [{"at": 0, "every": 1, "repeat": 2, "facts": {names.ACCOUNT: "reporting"}},
               {"at": 1, "every": 1, "repeat": 9, "facts": {names.ACCOUNT: "shop"}}]},
]  # fmt: skip


def run_rules(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["rules", *arguments], env={"BACKWATCH_RULES_DIR": str(folder)})


@pytest.mark.parametrize(
    ("changed", "word", "reason"),
    [
        (correlation(kind="value_count"), "type:", "correlation.type: 'value_count' is not supported; event_count, v"),
        (correlation(kind="temporal_ordered"), "type:", "correlation.type: 'temporal_ordered' is not supported"),
        (correlation(kind="often"), "type:", "correlation.type: 'often' is not supported"),
        (correlation(condition={"lt": 3}), "condition:", "correlation.condition: lt is known only at the end of the t"),
        (correlation(condition={"eq": 3}), "condition:", "correlation.condition: eq is known only at the end of the t"),
        (correlation(condition={"gte": 0}), "condition:", "correlation.condition: must be 1 to 1000, got 0"),
        (correlation(condition={"gte": 1001}), "condition:", "correlation.condition: must be 1 to 1000, got 1001"),
        (correlation(condition={"gte": True}), "condition:", "correlation.condition: must compare with a number"),
        (correlation(condition={"gte": "many"}), "condition:", "correlation.condition: 'many' is no valid"),
        (correlation(condition={"gte": 3, "lt": 9}), "condition:", "correlation.condition: "),
        (correlation(condition={"gte": 3, "field": names.ACCOUNT}), "field:", "correlation.condition.field: is for va"),
        (correlation(kind="value_sum"), "correlation:", "correlation: Value sum correlation rule without field"),
        (correlation(kind="value_sum", condition={"gte": 3, "field": "x.y"}), "field:", "correlation.condition.field:"),
        (correlation(kind="value_sum", condition={"gte": 3, "field": names.ACCOUNT}), "field:", "correlation.conditio"),
        (correlation(kind="value_sum", condition={"gte": 0, "field": names.NOTICES}), "condition:", "correlation.cond"),
        (correlation(kind="temporal", condition={"gte": 2}), "condition:", "correlation.condition: must be 1 to "),
        (correlation(kind="temporal", condition="a and b"), "condition:", "correlation"),
        (correlation(timespan="soon"), "timespan:", "correlation.timespan: Timespan 'soon' is invalid"),
        (correlation(timespan="1y"), "timespan:", "correlation.timespan: must be at most 31 days"),
        (correlation(group_by=["x.y"]), "group-by:", "correlation.group-by: 'x.y' is no field"),
        (correlation(group_by=[names.ACCOUNT] * 2), "group-by:", "correlation.group-by: must be at most 8 fields"),
        (correlation(timeframe="1m"), "timeframe:", "correlation.timeframe: is unknown; known are type, rules"),
        (correlation(()), "rules:", "correlation.rules: must be 1 to 32 rules"),
        (correlation(("no-such-rule",)), "rules:", "correlation.rules: no rule is called 'no-such-rule'"),
        (correlation(("of-windows",)), "rules:", "correlation.rules: 'of-windows' is over window; only rules over cal"),
        (correlation(("other",)), "rules:", "correlation.rules: 'other' is a correlation itself"),
        (correlation(("together",)), "rules:", "correlation.rules: 'together' is a correlation itself"),
        (correlation(aliases={"who": {"writes": names.ACCOUNT}}), "aliases:", "correlation.aliases: 'who' must have a"),
        (correlation(aliases={"who": {"own-rule": "x.y"}}), "aliases:", "correlation.aliases: 'x.y' is no field"),
        (correlation(aliases={names.NOTICES: {"own-rule": names.ACCOUNT}}), "aliases:", "correlation.aliases: "),
        (correlation(backwatch={"key": "resource", "suspect": True}), "suspect:", "backwatch.suspect: is unknown"),
        (correlation(backwatch={"key": "account"}), "key:", "backwatch.key: must be one of"),
        (correlation(backwatch={"key": "resource", "tests": [{"name": "a", "fires": True, "facts": {}}]}),
         "tests:", "backwatch.tests[0]: must have name, fires and calls"),
        (correlation(backwatch={"key": "resource", "tests": [{"name": "a", "fires": True, "calls": [{"at": 0}]}]}),
         "tests:", "backwatch.tests[0]: a call must have at and facts"),
        ({**correlation(), "name": "weak-tls"}, "name:", "name: 'weak-tls' is used by weak-tls.yml already"),
        ({**correlation(), "level": "loud"}, "level:", "level: "),
        ({**correlation(), "correlation": 7}, "correlation:", "correlation: "),
    ],
)  # fmt: skip
def test_bad_correlation_is_one_line_with_file_and_line(tmp_path: Path, changed: Any, word: str, reason: str) -> None:
    other = {**correlation(), "name": "other"}
    (tmp_path / "own.yml").write_text(text(rule(), WINDOW, other, changed))
    loaded = rulebook.read(str(tmp_path))
    (fault,) = loaded.faults
    lines = (tmp_path / "own.yml").read_text().splitlines()
    last = max(at for at, line in enumerate(lines) if line == "---")
    assert fault.line > last + 1
    assert lines[fault.line - 1].strip("- ").startswith(word), (lines[fault.line - 1], str(fault))
    assert fault.reason.startswith(reason)
    assert "\n" not in str(fault)
    assert loaded.own == {"own-rule", "of-windows", "other"}


def test_number_of_correlations_is_bounded(tmp_path: Path) -> None:
    many = [{**correlation(), "name": f"together-{at}"} for at in range(rulebook.MAX_CORRELATIONS + 1)]
    (tmp_path / "own.yml").write_text(text(rule(), *many))
    loaded = rulebook.read(str(tmp_path))
    assert [one.reason for one in loaded.faults] == ["correlation: is one too many: there may be 32"]


def test_filters_narrow_counted_rules_but_no_correlation(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(text(rule(), correlation(), sigma_filter(("together",)), sigma_filter()))
    (fault,) = rulebook.read(str(tmp_path)).faults
    assert fault.reason == "filter.rules: 'together' is a correlation; narrow the rules that it refers to"


def test_examples_of_a_correlation_run_on_their_own_clock(tmp_path: Path) -> None:
    own = {"key": "resource", "tests": TESTS}
    (tmp_path / "own.yml").write_text(text(rule(), correlation(backwatch=own)))
    result = run_rules(tmp_path, "test", "together")
    assert (result.exit_code, result.stdout) == (0, "")
    wrong = text(rule(), correlation(backwatch=own)).replace("every: 61", "every: 30")
    (tmp_path / "own.yml").write_text(wrong)
    result = run_rules(tmp_path, "test", str(tmp_path))
    assert result.exit_code == 1
    assert result.stdout == "own.yml: together: 'one a minute': expected: does not fire; raised: together\n"


@pytest.mark.parametrize("kind", ["value_sum", "temporal"])
def test_examples_of_every_kind_are_run(tmp_path: Path, kind: str) -> None:
    writes = rule("writes", {"s": {names.OPERATION: "UPDATE"}, "condition": "s"})
    facts = {names.ACCOUNT: "reporting", names.OPERATION: "UPDATE", names.ROWS_AFFECTED: 40}
    fewer = {**facts, names.ROWS_AFFECTED: 1, names.OPERATION: "SELECT"}
    tests = [
        {"name": "enough", "fires": True, "calls": [{"at": 5, "facts": facts}, {"at": 0, "facts": {**facts}}]},
        {"name": "too little", "fires": False, "calls": [{"at": 0, "repeat": 9, "facts": fewer}]},
        {"name": "nothing", "fires": False, "calls": []},
    ]  # fmt: skip
    condition = {"gte": 80, "field": names.ROWS_AFFECTED} if kind == "value_sum" else {"gte": 2}
    own = {"key": "resource", "tests": tests}
    one = correlation(("own-rule", "writes"), kind, condition=condition, backwatch=own)
    (tmp_path / "own.yml").write_text(text(rule(), writes, one))
    result = run_rules(tmp_path, "test", "together")
    assert (result.exit_code, result.stdout) == (0, "")


def test_correlation_is_listed_and_explained_as_rules_are(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(text(rule(), correlation(backwatch={"key": "resource", "tests": TESTS})))
    lines = run_rules(tmp_path, "list").stdout.splitlines()
    assert any(line.split()[:2] == ["high", "together"] for line in lines)
    assert any(line.endswith("A Rule (raises nothing: a correlation counts it)") for line in lines)
    page = run_rules(tmp_path, "explain", "together").stdout
    counts = "At least 3 calls on which own-rule fires, within 60 s, counted apart by app, backwatch.account."
    assert f"\nWhat it counts\n  {counts}\n" in page
    assert "- backwatch.account: Account of the session" in page
    found = json.loads(run_rules(tmp_path, "explain", "together", "--json").stdout)
    assert (found["counts"], found["fires_on"]) == (counts, ["a burst"])


# Broken documents: each becomes a fault or a rule.

KEYS = st.sampled_from([
    "title", "id", "name", "level", "logsource", "detection", "condition", "filter", "correlation", "backwatch",
    "reason", "expires", "type", "group-by", "timespan", "aliases", "generate", "tests", "calls", "facts", "at",
    "repeat", "fires", "key", "selection", "s", "gte", "field", "tags", "date", "service", "product", "category",
    "fields", "rules", "every",
    names.ACCOUNT, f"{names.ACCOUNT}|re", f"{names.ROWS_RETURNED}|gt", f"{names.QUERY_TEXT}|contains|all", "x|cidr", "",
    "falsepositives", "references", "related", "status", "instead_of", "over", "clear_after_s", "parameters", "how",
])  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), st.datetimes(),
    st.sampled_from([
        "own-rule", "together", "any", "1m", "not s", "s", "1 of s*", "event_count", "value_sum", "temporal", "low",
        "opentelemetry", "backing_service_call", "resource", names.ACCOUNT, "2030-01-31", "(" * 2_000, "*", "\\", "(a",
        "10.0.0.0/8", 10**400,
    ]),
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
WHOLE = [rule(), sigma_filter(), correlation(backwatch={"key": "resource", "tests": TESTS}),
         correlation(kind="value_sum", condition={"gte": 3, "field": names.NOTICES}), correlation(kind="temporal",
         aliases={"who": {"own-rule": names.ACCOUNT}}, group_by=["who"], condition={"gte": 1})]  # fmt: skip


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return every path of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(found for key, one in inner for found in paths(one, (*at, key)))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return the document with another value at a path."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


@st.composite
def broken(draw: st.DrawFn) -> Any:
    """Draw a valid document with one to three replaced values."""
    found = draw(st.sampled_from(WHOLE))
    for _ in range(draw(st.integers(1, 3))):
        found = put(found, draw(st.sampled_from(paths(found))), draw(TREES))
    return found


def faults_of(folder: Path, file: bytes | str) -> tuple[Fault, ...]:
    """Return the faults of a broken file beside a valid one, which must load."""
    broken_file = folder / "broken.yml"
    broken_file.write_bytes(file) if isinstance(file, bytes) else broken_file.write_text(file, errors="surrogatepass")
    loaded = rulebook.read(str(folder))
    assert {"right", "weak-tls"} <= {one.name for one in loaded.rules.rules}
    assert all(one.line >= 1 and "\n" not in str(one) and one.file == str(broken_file) for one in loaded.faults)
    return loaded.faults


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("rules")
    (found / "right.yml").write_text(text(rule("right"), {**correlation(("right",)), "name": "right-together"}))
    return found


fast = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@fast
@given(document=st.one_of(broken(), TREES))
def test_broken_document_is_only_a_fault(folder: Path, document: Any) -> None:
    try:
        file = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    except ValueError:  # a number of more digits than Python writes
        return
    faults_of(folder, file)


@fast
@given(file=st.one_of(st.text(max_size=200), st.binary(max_size=200), st.sampled_from(WHOLE).flatmap(
    lambda one: st.tuples(st.just(text(one)), st.integers(0, 400), st.text(max_size=3)).map(
        lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1]:]))))  # fmt: skip
def test_broken_text_is_only_a_fault(folder: Path, file: bytes | str) -> None:
    faults_of(folder, file.encode("utf-8", "surrogatepass") if isinstance(file, str) else file)


@pytest.mark.parametrize(
    "file",
    [
        "[" * 60_000, "a: " * 20_000, "a: &a [*a]", "- " * 30_000, "{" * 30_000, "a: !!python/object:os.system x",
        "x: &x [1,2,3]\n" + "".join(f"y{i}: &y{i} [*{'x' if not i else f'y{i - 1}'},*{'x' if not i else f'y{i - 1}'}]\n"
                                    for i in range(60)),
        "title: 2024-13-45", "a: " + "9" * 10_000, "1: 2", "? [a]\n: b", "title: \x00", "%YAML 9.9\n---\na: 1", "...",
        "---", "", "# nothing", "--- --- ---", "a: !!binary zz!", "a: !!timestamp 9", "a: !!int x",
        "a: 0x" + "f" * 9_000, "<<: [1]", "<<: *a", "a: !!set {b}", "a: .inf", "é: \ud800",
        text(rule(detection={"s": {f"a{i}": 1 for i in range(3_000)}, "condition": "1 of s*"})),
        text(rule(detection={"s": {names.ACCOUNT: "x"}, "condition": "not " * 3_000 + "s"})),
        text(sigma_filter(filter={"rules": "own-rule", "s": {names.ACCOUNT: "x"}, "condition": "(" * 3_000 + "s"})),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_document_that_crashes_parsers_is_a_fault(folder: Path, file: str) -> None:
    assert len(faults_of(folder, file)) >= 1


@given(st.text(alphabet="a:-# \n\r\x85\u2028.|'\"", max_size=60))
def test_splitting_a_file_loses_nothing_and_keeps_line_numbers(content: str) -> None:
    found = documents.split_documents(content)
    lines = content.splitlines(keepends=True)
    for one in found:
        count = len(one.text.splitlines())
        assert "".join(lines[one.line - 1 : one.line - 1 + count]) == one.text
    rest = content
    for one in filter(lambda each: each.text, found):
        before, _, rest = rest.partition(one.text)
        assert all(not line.strip() or line.lstrip().startswith(("#", "---", "...")) for line in before.splitlines())


def test_document_that_is_too_deep_or_too_large_is_refused() -> None:
    deep = "a: " + "[" * 40 + "]" * 40
    large = "a: [" + "1," * (documents.MAX_VALUES + 1) + "]"
    for content, reason in ((deep, "levels deep"), (large, "values")):
        with pytest.raises(RuleError, match=reason):
            documents.load_document(content, "a.yml")


def test_services_filter_does_not_reach_rules_of_all_services(tmp_path: Path) -> None:
    of_mysql = sigma_filter(logsource={**LOGSOURCE, "service": "mysql"})
    (tmp_path / "own.yml").write_text(text(rule(), of_mysql))
    (fault,) = rulebook.read(str(tmp_path)).faults
    assert fault.reason == "logsource.service: is 'mysql', but own-rule is not for that service"
