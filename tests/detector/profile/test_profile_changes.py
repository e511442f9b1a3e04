"""``backwatch profile learn``, ``export``, ``diff``, ``approve`` and ``enforce``."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from backwatch.collector import names
from backwatch.collector.cli import main
from backwatch.collector.settings import DetectorSettings
from backwatch.detector.profile.reading import parse
from backwatch.detector.runtime.service import engine_for
from backwatch.detector.runtime.shard_worker import ShardWorker
from backwatch.store import queries
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.detector.profile.test_profile import make_records
from tests.detector.streams import SAFE, SECOND, Call, statement

PAST = list(streams.quiet(random.Random(1), 400))
NEW = Call(PAST[-1].end_ns + SECOND, SAFE, statement("SELECT secret FROM vault WHERE id = ?", "vault.py:read"))
INJECTED = Call(
    PAST[-1].end_ns + 2 * SECOND, SAFE,
    {**statement("SELECT a FROM b WHERE c = ? OR ? = ?", "b.py:f"), names.QUERY_SIGNS: "tautology"},
)  # fmt: skip


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["profile", *arguments])


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spans") / "past.pb"
    path.write_bytes(streams.encode(PAST))
    return path


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spans") / "more.pb"
    path.write_bytes(streams.encode([*PAST, NEW, INJECTED]))
    return path


@pytest.fixture
def document(spans: Path, tmp_path: Path) -> Path:
    path = tmp_path / "backwatch.yml"
    assert run("learn", "--from", str(spans), "-o", str(path)).exit_code == 0
    return path


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def store(store_url: str) -> Any:
    engine = open_store(store_url)
    yield engine
    engine.dispose()


def new_worker(store: sa.Engine) -> ShardWorker:
    settings = DetectorSettings()
    return ShardWorker(0, engine_for(store, settings), store, settings)


def test_learning_again_from_the_same_spans_changes_no_byte(document: Path, spans: Path) -> None:
    first = document.read_bytes()
    found = parse(first.decode())
    assert (found.app, len(found.statements), len(found.destinations)) == ("shop", 5, 5)
    assert [(entry.tls, entry.accounts) for entry in found.resources] == [("full", ("shop",))]
    assert run("learn", "--from", str(spans), "-o", str(document)).exit_code == 0
    assert document.read_bytes() == first
    assert run("learn", "--from", str(spans)).stdout.encode() == first


def test_injected_statement_is_not_learnt_and_named(more: Path) -> None:
    result = run("learn", "--from", str(more))
    assert "not learnt, it looks injected: b.py:f: SELECT A FROM B WHERE C = ? OR ? = ?" in result.stderr
    sites = {entry.site for entry in parse(result.stdout).statements}
    assert "vault.py:read" in sites
    assert "b.py:f" not in sites


def test_spans_of_two_apps_need_a_name(tmp_path: Path) -> None:
    path = tmp_path / "two.pb"
    path.write_bytes(streams.encode([PAST[0], Call(NEW.end_ns, SAFE, NEW.facts, app="other")]))
    result = run("learn", "--from", str(path))
    assert (result.exit_code, "--app must name one of the apps in these spans: other, shop" in result.stderr) == (
        2, True
    )  # fmt: skip
    assert "vault" not in run("learn", "--from", str(path), "--app", "shop").stdout


def test_diff_lists_what_was_seen_beyond_the_profile_and_exits_3(document: Path, spans: Path, more: Path) -> None:
    same = run("diff", str(document), "--from", str(spans))
    assert (same.exit_code, same.stdout) == (0, "")
    result = run("diff", str(document), "--from", str(more))
    assert result.exit_code == 3
    assert "+ statements: vault.py:read  SELECT SECRET FROM VAULT WHERE ID = ?\n" in result.stdout


def test_diff_of_two_documents_shows_both_sides(document: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yml"
    text = document.read_text()
    other.write_text(text.replace("VISITS", "VISITORS").replace("tls: full", "tls: none"))
    result = run("diff", str(document), str(other))
    assert result.exit_code == 3
    lines = sorted(line.split(" ")[0] + line.split(" ")[1] for line in result.stdout.splitlines())
    assert lines == ["+statements:", "-statements:", "~resources:"]


def test_approve_adds_what_was_seen_with_author_and_reason(document: Path, more: Path) -> None:
    result = run("approve", str(document), "--from", str(more), "--by", "ann", "--reason", "release 42")
    assert result.exit_code == 0, result.output
    (entry,) = [entry for entry in parse(document.read_text()).statements if entry.by]
    assert (entry.site, entry.by, entry.reason) == ("vault.py:read", "ann", "release 42")
    assert run("diff", str(document), "--from", str(more)).exit_code == 3  # its destination is another decision
    assert (
        "nothing was seen" in run("approve", str(document), "--from", str(more), "--reason", "x", "--site", "z*").stderr
    )


def test_approval_until_a_day_is_an_exception(document: Path, more: Path) -> None:
    options = ("--from", str(more), "--by", "ann", "--reason", "hotfix", "--until")
    assert "is over" in run("approve", str(document), *options, "2020-01-31").stderr
    assert "must be a day" in run("approve", str(document), *options, "soon").stderr
    assert run("approve", str(document), *options, "2199-01-31").exit_code == 0
    found = {(entry.site, entry.until, entry.reason) for entry in parse(document.read_text()).exceptions}
    assert ("vault.py:read", "2199-01-31", "hotfix") in found


def test_enforced_profile_raises_in_the_detector_until_the_alert_is_approved(
    document: Path, store: sa.Engine, store_url: str
) -> None:
    result = run("enforce", str(document), "--by", "release-42", "--store-url", store_url)
    assert result.stdout == (
        "entered as number 1: app shop, 5 statements, 5 destinations and 0 exceptions enforced\n"
    )  # fmt: skip
    assert run("enforce", str(document), "--store-url", store_url).stdout.startswith("unchanged since number 1")
    owner = new_worker(store)
    owner.take_entries()
    owner.take(make_records([*PAST, NEW]), 0)
    assert owner.commit(1)
    with reading(store) as connection:
        rows = queries.list_alerts(connection).rows
    assert {row.rule for row in rows} == {"unapproved-query"}
    assert run("approve", str(document), "--reason", "meant", "--store-url", store_url).stdout == (
        "+ vault.py:read  SELECT SECRET FROM VAULT WHERE ID = ?\n"
    )
    assert run("enforce", str(document), "--store-url", store_url).stdout.startswith("entered as number 2")
    owner = new_worker(store)
    owner.take_entries()
    again = Call(NEW.end_ns + SECOND, SAFE, {**NEW.facts, names.CODE_LINE: 9})
    owner.take(make_records([again], 500), 0)
    assert owner.commit(2)
    with reading(store) as connection:
        assert sum(row.count for row in queries.list_alerts(connection).rows) == sum(row.count for row in rows)


def test_statement_that_looks_injected_is_not_approved_from_its_alert(
    document: Path, store: sa.Engine, store_url: str
) -> None:
    run("enforce", str(document), "--store-url", store_url)
    owner = new_worker(store)
    owner.take_entries()
    owner.take(make_records([*PAST, INJECTED]), 0)
    assert owner.commit(1)
    before = document.read_bytes()
    result = run("approve", str(document), "--reason", "meant", "--store-url", store_url)
    assert "not approved, it looks injected: SELECT A FROM B WHERE C = ? OR ? = ? @ b.py:f" in result.stderr
    assert document.read_bytes() == before


def test_announcing_keeps_what_is_enforced_and_off_ends_it(document: Path, store: sa.Engine, store_url: str) -> None:
    run("enforce", str(document), "--store-url", store_url)
    announcing = document.with_name("announcing.yml")
    announcing.write_text("profile: 1\napp: shop\nannounced: [{resource: r, peers: [10.0.0.9]}]\n")
    assert run("announce", str(announcing), "--store-url", store_url).stdout.startswith("entered as number 2")
    exported = parse(run("export", "--app", "shop", "--store-url", store_url).stdout)
    assert (len(exported.statements), exported.announced[0].resource) == (5, "r")
    assert run("enforce", "--off", "shop", "--store-url", store_url).stdout == (
        "entered as number 3: app shop, nothing is enforced\n"
    )
    exported = parse(run("export", "--app", "shop", "--store-url", store_url).stdout)
    assert (len(exported.statements), exported.announced[0].resource) == (0, "r")


def test_export_shows_sessions_and_volume_that_the_store_knows(store: sa.Engine, store_url: str) -> None:
    owner = new_worker(store)
    owner.take(make_records(PAST), 0)
    assert owner.commit(1)
    found = parse(run("export", "--store-url", store_url).stdout)
    assert found.app == "shop"
    assert [(entry.resource, entry.tls) for entry in found.resources] == [("postgresql db.internal:5432/shop", "full")]


def test_commands_refuse_wrong_options(document: Path, store: sa.Engine, store_url: str) -> None:
    assert run("enforce").exit_code == 2
    assert run("enforce", str(document), "--off", "shop").exit_code == 2
    assert run("diff", str(document), str(document), "--from", "x").exit_code == 2
    assert run("export", "--store-url", store_url).exit_code == 2
    assert run("approve", str(document), "--reason", "\x1b", "--store-url", store_url).exit_code == 2


def test_profile_of_an_app_that_was_never_seen_is_named(document: Path, store: sa.Engine, store_url: str) -> None:
    assert run("enforce", str(document), "--store-url", store_url).stderr == ""  # a first release: nothing was seen
    owner = new_worker(store)
    owner.take(make_records([replace(call, app="shop/production") for call in PAST]), 0)
    assert owner.commit(1)
    for arguments in (["enforce", str(document)], ["diff", str(document)]):
        seen = run(*arguments, "--store-url", store_url).stderr
        assert seen == "backwatch: no process of the app shop was seen, but of shop/production: name it as alerts do\n"
