"""A new fact is one entry in one file: shown in a temporary copy of the source."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.services.process import ROOT

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
from backwatch.detector.rules.explanation import meaning
from backwatch.detector.rules.fields import CALL_FIELDS
NAME = "backwatch.response.age"
docs = runpy.run_path("tools/docs.py")
print(json.dumps({
    "file": facts.__file__,
    "column": NAME in schema.NUMBER_INDEX,
    "field": CALL_FIELDS[NAME].domain,
    "meaning": meaning(NAME, "call"),
    "field row": next(line for line in docs["rule_fields"]().splitlines() if NAME in line),
    "fact row": next(line for line in docs["facts"]().splitlines() if NAME in line),
    "group": NAME in docs["GROUPS"]["content"],
    "order": facts.in_reading_order(["tls.established", NAME, "db.query.text"]),
}))
"""


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Derive everything from a copy of the source in which one file has one more entry."""
    copy = tmp_path_factory.mktemp("grown")
    sources = [f"{member}/src" for member in ("collector", "store", "detector")]
    for folder in (*sources, "tools"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / "collector/src/backwatch/collector/facts/response.py"
    text = file.read_text()
    file.write_text(text.replace("\n)  # fmt: skip\n", f"{ENTRY})  # fmt: skip\n"))
    paths = os.pathsep.join(str(copy / source) for source in sources)
    done = subprocess.run(
        [sys.executable, "-c", QUESTION], cwd=copy, env={**os.environ, "PYTHONPATH": paths}, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    assert str(result.pop("file")).startswith(str(copy))
    return result


def test_one_entry_makes_a_column_a_field_and_its_documents(grown: dict[str, object]) -> None:
    meaning = "Seconds that the response spent in a cache."
    assert grown == {
        "column": True,
        "field": "number",
        "meaning": meaning,
        "field row": f"| `backwatch.response.age` | call | number | reported | {meaning} |",
        "fact row": "| `backwatch.response.age` | Response age | number | call | third-party instrumentations |",
        "group": True,
        "order": ["db.query.text", "backwatch.response.age", "tls.established"],
    }
