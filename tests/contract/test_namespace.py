"""Guarantees of the layout: one namespace, one direction, light parts stay light, no machine in the tree."""

import ast
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from backwatch.attack import scenarios
from backwatch.resource import systems
from tests.services.process import ROOT

MEMBERS = ("collector", "store", "detector", "notify", "dashboard", "attack", "resource")
MAY_DEPEND_ON = {
    "collector": set[str](),
    "store": {"collector"},
    "detector": {"collector", "store"},
    "notify": {"collector", "store"},
    "dashboard": {"collector", "store"},
    "attack": {"collector", "store", "detector", "notify", "dashboard"},
    "resource": set[str](),
}
DRIVERS = {
    "aiohttp", "aiormq", "botocore", "django", "elastic_transport", "elasticsearch", "flask", "grpc", "kombu", "ldap3",
    "pika", "psycopg", "psycopg2", "pymemcache", "pymysql", "redis", "requests", "starlette", "urllib3", "werkzeug",
}  # fmt: skip
"""What the collector wraps where the app has it, and must never bring along."""
BROUGHT_BY_THE_CALLER = {
    "collector": DRIVERS | {"cramjam", "lz4"}, "store": {"numpy"}, "detector": {"pytest"},
    "resource": {
        *(driver.module.partition(".")[0] for driver in systems.discover()), "psycopg_pool", "sqlalchemy", "click",
        "yaml", "django", "urllib3", "httpcore", "amqp", "anyio", "botocore",
    },
    "attack": {"botocore", "bson", *(kind.driver.partition(".")[0] for kind in scenarios.discover())},
}  # fmt: skip
"""Imported inside functions that only those call who have it: the detector unpacks batches of the stream, the store
packs a model's arrays for the detector, an attack is shown on its driver where that is installed."""
HEAVY = {"numba", "numpy", "sklearn", "sqlalchemy", "streamlit", "pandas", "pyarrow", "sigma"}
LINES, LINES_OF_TESTS = 400, 600

every_member = pytest.mark.parametrize("member", MEMBERS)


@cache
def list_tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def source(member: str) -> Path:
    return ROOT / member / "src" / "backwatch" / member


def project(member: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / member / "pyproject.toml").read_text())["project"]


def dependencies(member: str) -> set[str]:
    """Return distribution names, in lower case with hyphens, without versions and extras."""
    cut = (
        text.split(";")[0].split("[")[0].split(">")[0].split("=")[0].split("<")[0]
        for text in project(member)["dependencies"]
    )
    return {name.strip().lower().replace("_", "-") for name in cut}


def modules(member: str, *, but: tuple[str, ...] = ()) -> list[str]:
    """Return importable names of a member's modules, without those whose path has one of ``but`` in it."""
    found: list[str] = []
    for path in sorted(source(member).rglob("*.py")):
        parts = path.relative_to(ROOT / member / "src").with_suffix("").parts
        if not set(but) & set(parts):
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def list_loaded(names: list[str]) -> set[str]:
    """Return top-level modules in a fresh interpreter after these imports."""
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script, *names], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return {name.partition(".")[0] for name in run.stdout.split()}


def list_imported(member: str) -> dict[str, str]:
    """Return top-level modules that a member's source imports, with one file that does."""
    found: dict[str, str] = {}
    for path in source(member).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.update({name.name.partition(".")[0]: str(path) for name in node.names})
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found[node.module.partition(".")[0]] = str(path)
    return found


def test_no_member_owns_the_namespace() -> None:
    assert list(ROOT.glob("*/src/backwatch/__init__.py")) == []


@pytest.mark.parametrize("member", [member for member in MEMBERS if member != "resource"])  # apps import from it
def test_a_parts_init_is_a_docstring_and_it_is_typed(member: str) -> None:
    body = ast.parse((source(member) / "__init__.py").read_text()).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)
    assert isinstance(body[0].value, ast.Constant)
    assert (source(member) / "py.typed").is_file()


@every_member
def test_members_depend_in_one_direction(member: str) -> None:
    members = {name.removeprefix("backwatch-") for name in dependencies(member) if name.startswith("backwatch-")}
    assert members <= MAY_DEPEND_ON[member]


@every_member
def test_members_imports_are_declared_by_it_or_a_member_below(member: str) -> None:
    declared = dependencies(member).union(*(dependencies(below) for below in MAY_DEPEND_ON[member]))
    owners = packages_distributions()
    undeclared: list[str] = []
    for name, path in list_imported(member).items():
        if name in sys.stdlib_module_names or name == "backwatch" or name in BROUGHT_BY_THE_CALLER.get(member, ()):
            continue
        if not {owner.lower().replace("_", "-") for owner in owners.get(name, [])} & declared:
            undeclared.append(f"{name} in {path}")
    assert undeclared == []


def test_the_collector_brings_no_driver_along() -> None:
    assert not dependencies("collector") & (DRIVERS | HEAVY)


def test_names_and_statements_need_the_standard_library_only() -> None:
    names = ["backwatch.collector.names", *(one for one in modules("collector") if ".statements" in one)]
    assert not list_loaded(names) & {*HEAVY, "opentelemetry", "click", "wrapt", "kafka", "zstandard"}


def test_the_resource_needs_the_standard_library_only() -> None:
    assert dependencies("resource") == set()
    loaded = list_loaded(modules("resource", but=("command", "django")))
    assert not loaded - set(sys.stdlib_module_names) - {"backwatch", "_virtualenv"} - list_loaded(["ssl"])


def test_the_collector_loads_nothing_heavy_into_the_app() -> None:
    assert not list_loaded(modules("collector", but=("probes",))) & HEAVY


def test_store_and_notify_run_without_numba() -> None:
    assert not list_loaded([*modules("store", but=("migrations",)), *modules("notify")]) & {"numba", "numpy", "sklearn"}


def test_the_dashboards_command_runs_without_numba() -> None:
    assert "numba" not in list_loaded(modules("dashboard", but=("pages", "app")))


def test_no_file_names_a_machines_path_or_a_package_host() -> None:
    hosts = [".".join(parts) for parts in (
        ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("repo1", "maven"),
        ("repo", "maven"), ("deb", "debian"), ("proxy", "golang"), ("crates", "io"), ("rubygems", "org"),
    )]  # fmt: skip
    forbidden = [text.encode() for text in (*hosts, "/" + "work/", "/" + "root/", "/" + "home/runner")]
    found = [
        f"{path.relative_to(ROOT)}: {text.decode()}"
        for path in list_tracked()
        for text in forbidden
        if text in path.read_bytes()
    ]
    assert found == []


def test_the_lock_has_hashes_for_everything_and_names_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text()
    blocks = [block for block in text.split("\n") if block and not block.startswith(("#", " "))]
    assert len(blocks) > 50
    assert [line for line in blocks if "==" not in line or not line.endswith("\\")] == []
    assert "://" not in text
    assert [line for line in text.splitlines() if line.startswith("-")] == []


def test_a_file_is_one_idea() -> None:
    too_long: list[str] = []
    for path in (path for path in list_tracked() if path.suffix == ".py"):
        name, lines = str(path.relative_to(ROOT)), len(path.read_text().splitlines())
        if lines > (LINES_OF_TESTS if name.startswith(("tests/", "bench/")) else LINES):
            too_long.append(f"{name}: {lines} lines")
    assert too_long == []
