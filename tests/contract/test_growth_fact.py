"""A new fact is one entry in one file: shown in a temporary copy of the project."""

import json
from collections.abc import Iterator

import pytest

from tests.contract.growth.copies import GrownCopy

pytestmark = pytest.mark.xdist_group("growth")
FILE = "collector/src/backwatch/collector/facts/response.py"
ENTRY = """
    Fact(
        name="backwatch.response.age", type="number", scope="call", kind="content", domain="number", unit="seconds",
        label="Response age", meaning="Seconds that the response spent in a cache.", example=3,
    ),
"""
QUESTION = """
import json, runpy
from backwatch.collector import facts
from backwatch.detector.decoding import schema
from backwatch.detector.rules.explanation import get_meaning
from backwatch.detector.rules.fields import CALL_FIELDS
NAME = "backwatch.response.age"
docs = runpy.run_path("tools/docs.py")
print(json.dumps({
    "file": facts.__file__,
    "column": NAME in schema.NUMBER_INDEX,
    "field": CALL_FIELDS[NAME].domain,
    "meaning": get_meaning(NAME, "call"),
    "field row": next(line for line in docs["rule_fields"]().splitlines() if NAME in line),
    "fact row": next(line for line in docs["facts"]().splitlines() if NAME in line),
    "group": NAME in docs["GROUPS"]["content"],
    "order": facts.in_reading_order(["tls.established", NAME, "db.query.text"]),
}))
"""


@pytest.fixture(scope="module")
def grown() -> Iterator[GrownCopy]:
    """A copy in which one file has one more entry."""
    copy = GrownCopy()
    file = copy.path / FILE
    file.write_text(file.read_text().replace("\n)  # fmt: skip\n", f"{ENTRY})  # fmt: skip\n"))
    yield copy
    copy.remove()


def test_one_entry_makes_a_column_a_field_and_its_documents(grown: GrownCopy) -> None:
    done = grown.run("-c", QUESTION)
    assert done.returncode == 0, done.stderr
    meaning = "Seconds that the response spent in a cache."
    assert json.loads(done.stdout) == {
        "file": str(grown.path / "collector/src/backwatch/collector/facts/__init__.py"),
        "column": True,
        "field": "number",
        "meaning": meaning,
        "field row": f"| `backwatch.response.age` | call | number | reported | {meaning} |",
        "fact row": "| `backwatch.response.age` | Response age | number | call | third-party instrumentations |",
        "group": True,
        "order": ["db.query.text", "backwatch.response.age", "tls.established"],
    }


def test_fact_changes_no_file_but_that_of_its_entry(grown: GrownCopy) -> None:
    assert (grown.list_changed(), grown.list_added()) == ([FILE], [])
