"""The generator of labelled statements: a short run on SQLite with the small prober, and its tokens."""

import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bench.campaigns import lexer
from bench.campaigns.__main__ import main
from bench.campaigns.dialect import DIALECTS, POSTGRES, Name
from bench.campaigns.templates import Template, bound, literal

KINDS = {
    "app_literal", "app_dynamic", "app_bound", "app_new_template", "app_honest_bug", "stmt_probe", "stmt_sqlmap_inert",
    "stmt_signfree",
}  # fmt: skip
FIELDS = {
    "text", "text_sanitised", "dialect", "label", "kind", "tid", "phase", "rows", "ms", "error", "id", "app", "input",
}  # fmt: skip


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("campaigns")
    main(["--out", str(folder), "--dialects", "sqlite", "--train", "300", "--test", "300", "--runs", "3"])
    return [record for path in sorted(folder.iterdir()) for record in read(path)]


def test_short_run_has_records_of_every_kind(records: list[dict[str, Any]]) -> None:
    assert {record["kind"] for record in records} == KINDS
    assert all(record.keys() >= FIELDS for record in records)
    assert len({record["id"] for record in records}) == len(records)


def test_only_attacks_and_honest_bugs_fail(records: list[dict[str, Any]]) -> None:
    failed = {record["kind"] for record in records if record["error"]}
    assert failed == {"stmt_probe", "app_honest_bug"}
    assert all(record["error"] for record in records if record["kind"] == "app_honest_bug")


def test_training_holds_honest_statements_only(records: list[dict[str, Any]]) -> None:
    assert {record["label"] for record in records if record["phase"] == "train"} == {"benign"}


@pytest.mark.parametrize(
    ("dialect", "statement", "sanitised"),
    [
        ("postgres", "SELECT 1 FROM a WHERE b = 'it''s' AND c IN (1, 2)", "SELECT ? FROM a WHERE b = ? AND c IN (?)"),
        ("mysql", r"UPDATE a SET b = 'it\'s', c = 0x41 -- x", "UPDATE a SET b = ?, c = ? -- x"),
        ("sqlite", "INSERT INTO a VALUES (1, 'x'), (?, x'00')", "INSERT INTO a VALUES (?, ?), (?, ?)"),
    ],
)
def test_sanitised_text_holds_no_literals(dialect: Name, statement: str, sanitised: str) -> None:
    assert lexer.sanitise(statement, dialect) == sanitised


def test_structure_ignores_values_and_shows_everything_else() -> None:
    honest = lexer.structure("SELECT 1 FROM a WHERE b = 5 AND c IN (1, 2)", "postgres")
    assert lexer.structure("SELECT 1 FROM a WHERE b = -77 AND c IN (3)", "postgres") == honest
    assert lexer.structure("SELECT 1 FROM a WHERE b = 5--x\n AND c IN (1, 2)", "postgres") != honest
    assert lexer.structure("SELECT 1 FROM a WHERE b = b AND c IN (1, 2)", "postgres") != honest


@pytest.mark.parametrize("name", list(DIALECTS))
def test_honest_requests_change_nothing_but_literals_and_clauses(name: str) -> None:
    dialect, random = DIALECTS[name], Random(7)
    for template in (*literal.templates(dialect), *bound.templates(dialect)):
        if template.kind == "app_dynamic" or template.tid == "catalogue":
            continue
        texts = [template.build(dialect, template.request(random)).text for _ in range(20)]
        assert len({lexer.structure(text, dialect.name) for text in texts}) == 1, template.tid


def test_escaped_fields_stay_within_their_literal() -> None:
    template = Template("t", "SELECT * FROM a WHERE b = @text AND c = '$word'")
    statement = template.build(POSTGRES, {"text": "O'Brien' OR 1=1 --", "word": "x"})
    assert statement.text == "SELECT * FROM a WHERE b = 'O''Brien'' OR 1=1 --' AND c = 'x'"
