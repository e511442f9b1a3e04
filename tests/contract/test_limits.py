"""Every structure that traffic can fill declares its bound, and one page lists them."""

import ast
import re
import runpy
from collections.abc import Iterator

import pytest

from backwatch.collector.runtime.bounds import Bound
from tests.services.process import ROOT

MEMBERS = ("collector", "store", "detector", "notify", "dashboard")
CAPACITY = re.compile(
    r"^_?(\w*CAPACITY|\w*CACHED|(MAX_)?REMEMBERED|MAX_(SESSIONS|PLACES|OPEN\w*|LOSS_ALERTS|DIGESTED|LINES|BEATS)|KEYS"
    r"|RING|SKETCH|RESULTS|CELLS|ENTRIES|MAX_PORTION_BYTES|RETENTION_BYTES|MAX_(PROCESSES|APPS|RELATIVES|RECORDS|KEPT)"
    r"|MAX_(DIALECTS|SIGN_TEXTS|(POLL|BATCH|KEPT|VALUE)_BYTES)|MOST_TOPOLOGIES)$"
)
"""Names by which modules call the capacity of a structure."""
NO_STRUCTURE = {
    "backwatch.collector.statements.spec.REMEMBERED": "a mask of words",
    "backwatch.detector.kernels.compiled.CACHED": "a folder",
    "backwatch.detector.rules.rule_index.CAPACITY": "cells of a table that FULL bounds",
    "backwatch.detector.rules.correlation._KEYS": "words of a document",
    "backwatch.collector.redaction.mongo.MAX_REMEMBERED": "shapes of keys, a cache of a pure function",
    "backwatch.collector.documents.foreign.MAX_CACHED": "redacted texts, a cache of a pure function",
    "backwatch.collector.redaction.amqp.MAX_REMEMBERED": "names, a cache of a pure function",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for member in MEMBERS:
        source = ROOT / member / "src"
        for path in sorted(source.rglob("*.py")):
            if "probes" not in path.parts:
                name = ".".join(path.relative_to(source).with_suffix("").parts)
                yield name, ast.parse(path.read_text())


def capacities(name: str, tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and CAPACITY.match(target.id):
                yield f"{name}.{target.id}"


def list_declared(name: str, tree: ast.Module) -> Iterator[str]:
    """Return the constants in a ``Bound(…)`` of this module, each with its own module."""
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Bound":
            for node in ast.walk(call):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    yield f"{imported.get(node.value.id, name)}.{node.attr}"
                elif isinstance(node, ast.Name):
                    yield imported.get(node.id, f"{name}.{node.id}")


def test_every_capacity_of_a_structure_is_declared() -> None:
    found, known = set[str](), set[str]()
    for name, tree in modules():
        found |= set(capacities(name, tree))
        known |= set(list_declared(name, tree))
    assert sorted(found - known - NO_STRUCTURE.keys()) == []
    assert NO_STRUCTURE.keys() <= found


@pytest.fixture(scope="module")
def bounds() -> list[tuple[str, Bound]]:
    tools = runpy.run_path(str(ROOT / "tools" / "docs.py"), run_name="tools")
    return [(member, one) for member, some in tools["declared_bounds"]() for one in some]


def test_each_bound_describes_its_overflow(bounds: list[tuple[str, Bound]]) -> None:
    assert len({one.name for _, one in bounds}) == len(bounds)
    assert all(one.name and one.unit and one.at_limit and one.limit for _, one in bounds)


def test_each_bound_has_its_line_in_the_page(bounds: list[tuple[str, Bound]]) -> None:
    page = (ROOT / "docs" / "reference" / "limits.md").read_text()
    assert [one.name for member, one in bounds if f"| {member} | {one.name} |" not in page] == []


def test_an_undeclared_capacity_is_found() -> None:
    tree = ast.parse("CAPACITY = 5\nMAX_OPEN: Final = 3\nBOUNDS = (Bound('x', MAX_OPEN, 'y', 'z'),)")
    assert set(capacities("m", tree)) - set(list_declared("m", tree)) == {"m.CAPACITY"}
