"""``backwatch profile``: a hand-written document, with faults reported line by line."""

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from click.testing import CliRunner, Result
from hypothesis import example, given
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.collector.cli import main
from backwatch.collector.settings import DetectorSettings
from backwatch.collector.stream import Record
from backwatch.detector.profile import document
from backwatch.detector.profile.document import KINDS
from backwatch.detector.profile.reading import MAX_FAULTS, NotAProfile, parse
from backwatch.detector.runtime.service import engine_for
from backwatch.detector.runtime.shard_worker import ShardWorker
from backwatch.store import entries, profiles, queries
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.detector.identity.test_identities import ORIGINAL_SESSION, RESOURCE, calls, past, swap

WORDS = (
    "profile", "app", "announced", "resource", *document.SECTIONS, "site", "statement", "destination", "until", "tls",
    "calls", "certificates",
)  # fmt: skip
GOOD = f"""
profile: 1
app: shop
announced:
  - resource: {RESOURCE}
    reason: fail-over to the new cluster
    certificates: ["{"BB:" * 31}BB"]
    peers: [10.0.9.9]
    server_versions: [16.4]
    server_ids: [8422]
    nodes: [C.internal:5432]
"""


def run_profile(*arguments: str, given: str | None = None, **environment: str) -> Result:
    return CliRunner().invoke(main, ["profile", *arguments], env=environment, input=given)


def faults(text: str) -> list[str]:
    with pytest.raises(NotAProfile) as caught:
        parse(text)
    return [f"{line}: {reason}" for line, reason in caught.value.faults]


def test_document_values_are_read_in_the_form_of_evidence() -> None:
    (one,) = parse(GOOD).announced
    assert one.resource == RESOURCE
    assert one.values == {
        "certificates": ["bb" * 32], "peers": ["10.0.9.9"], "server_versions": ["16.4"], "server_ids": ["8422"],
        "nodes": ["c.internal:5432"],
    }  # fmt: skip


def test_version_is_read_as_text_and_not_as_a_number() -> None:
    (one,) = parse("{profile: 1, app: a, announced: [{resource: r, server_versions: [16.10, 8]}]}").announced
    assert one.values == {"server_versions": ["16.10", "8"]}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "1: must begin with profile: 1"),
        ("- a", "1: must begin with profile: 1"),
        ("app: shop", "1: profile is missing"),
        ("profile: 1", "1: app is missing"),
        ("profile: 2\napp: a", "1: profile must be 1"),
        ("profile: 1\napp: [a]", "2: app must be a text"),
        ("profile: 1\napp: a\napp: b", "3: app stands here twice"),
        ("profile: 1\napp: a\nendpoints: []", "3: 'endpoints' is not known here"),
        ("profile: 1\napp: a\nannounced: {}", "3: announced must be a list"),
        ("profile: 1\napp: a\nannounced:\n- peers: []", "4: announced[0].resource is missing"),
        ("profile: 1\napp: a\nannounced:\n- resource: r\n  mute: [x]", "5: announced[0].'mute' is not known here"),
        ("profile: 1\napp: a\nannounced:\n- resource: r\n- resource: r", "5: announced[1].resource: 'r' stands here"),
        ("profile: 1\napp: a\nannounced: [{resource: r, certificates: [ab]}]", "3: announced[0].certificates[0]: 'ab'"),
        ("profile: 1\napp: a\nannounced: [{resource: r, peers: [db]}]", "3: announced[0].peers[0]: 'db' must be a num"),
        ("profile: 1\napp: a\nannounced: [{resource: r, peers: [0.0.0.0/0]}]", "3: announced[0].peers[0]: '0.0.0.0/0"),
        ("profile: 1\napp: a\nannounced: [{resource: r, nodes: [db]}]", "3: announced[0].nodes[0]: 'db' must be host:"),
        ("profile: 1\napp: a\nannounced: [{resource: r, redirects: ['http://x/']}]", "3: announced[0].redirects[0]: "),
        ("profile: 1\napp: a\nannounced: [\n", "4: is no YAML"),
        ("profile: 1\napp: a\n---\nprofile: 1", "3: is no YAML"),
        ("profile: 1\napp: *a", "2: is no YAML"),
        ("[" * 5_000, "1: is nested too deeply"),
        ("#" * 1_100_000, "1: the document is larger than 1048576 bytes"),
    ],
)
def test_fault_is_reported_with_its_line(text: str, fault: str) -> None:
    assert any(one.startswith(fault) for one in faults(text)), faults(text)


def test_all_faults_are_reported_in_document_order() -> None:
    reported = faults("profile: 2\napp: a\nx: 1\nannounced:\n- resource: r\n  peers: [b, c]\n")
    assert [one.split(":")[0] for one in reported] == ["1", "3", "6", "6"]


_texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=40)
_addresses = st.ip_addresses().map(str) | st.builds(
    lambda address, bits: str(ipaddress.ip_network(f"{address}/{bits}", strict=False)),
    st.ip_addresses(v=4), st.integers(16, 32),
)  # fmt: skip
_values: dict[str, st.SearchStrategy[str]] = {
    "certificates": st.binary(min_size=32, max_size=32).map(bytes.hex), "issuers": _texts, "peers": _addresses,
    "server_versions": _texts, "server_ids": _texts, "nodes": st.integers(0, 65_535).map("db.internal:{}".format),
    "redirects": st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True),
}  # fmt: skip


@given(
    _texts,
    st.lists(
        st.tuples(_texts, st.fixed_dictionaries({}, optional={kind: st.lists(one) for kind, one in _values.items()})),
        max_size=5, unique_by=lambda one: one[0],
    ),
)  # fmt: skip
def test_written_profile_reads_back_equal(app: str, resources: list[tuple[str, dict[str, list[str]]]]) -> None:
    listed = [{"resource": name, **values} for name, values in resources]
    found = parse(yaml.safe_dump({"profile": 1, "app": app, "announced": listed}, allow_unicode=True))
    assert found.app == app
    assert [one.resource for one in found.announced] == [name for name, _ in resources]
    for one, (_, values) in zip(found.announced, resources, strict=True):
        assert one.values == {kind: sorted(set(some)) for kind, some in values.items() if some}
        reported = document.read_announced([one.plain()])[one.resource]
        assert reported == {KINDS[kind][0]: list(some) for kind, some in one.values.items()}


@given(
    st.text(max_size=300)
    | st.recursive(
        st.none() | st.text(max_size=20) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*WORDS, *KINDS]) | st.text(), inner)
        ),
        max_leaves=20,
    ).map(yaml.safe_dump)
)
@example("profile: 1\napp: &a [*a]")
@example("profile: 1\napp: a\nannounced: &a [*a]")
@example("\x00")
def test_any_text_is_a_profile_or_has_a_fault_with_a_line(text: str) -> None:
    reported: list[tuple[int, str]] = []
    try:
        parse(text)
    except NotAProfile as error:
        reported = list(error.faults)
        assert reported
    assert len(reported) <= MAX_FAULTS
    assert all(1 <= line <= len(text.splitlines()) + 2 and reason for line, reason in reported)


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def store(store_url: str) -> Any:
    engine = open_store(store_url)
    yield engine
    engine.dispose()


def test_check_prints_the_announcements_or_one_line_per_fault(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text(GOOD)
    bad.write_text("profile: 1\nannounced: []\nx: 1\n")
    result = run_profile("check", str(good))
    assert (result.exit_code, result.stdout.splitlines()[:2]) == (
        0, ["app shop: 5 values at 1 resource announced", f"  {RESOURCE} (fail-over to the new cluster)"]
    )  # fmt: skip
    result = run_profile("check", str(bad))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"{bad}:1: app is missing",
        f"{bad}:3: 'x' is not known here; known are {', '.join(('profile', 'app', 'announced', *document.SECTIONS))}",
    ]  # fmt: skip
    assert run_profile("check", "-", given=GOOD).exit_code == 0
    assert run_profile("check", str(tmp_path / "none.yml")).exit_code == 74


def test_announce_stores_a_profile_once_and_show_prints_it(store: sa.Engine, store_url: str) -> None:
    first = run_profile("announce", "-", "--by", "change 4711", "--store-url", store_url, given=GOOD)
    again = run_profile("announce", "-", "--store-url", store_url, given=GOOD + "# a comment\n")
    assert first.stdout == "entered as number 1: app shop, 5 values at 1 resource announced\n"
    assert again.stdout.startswith("unchanged since number 1")
    assert "app shop has made no call yet" in first.stderr
    with reading(store) as connection:
        (entry,) = entries.after(connection, 0)
    assert (entry.kind, entry.by, entry.body["app"]) == ("profile", "change 4711", "shop")
    assert "number 1, by change 4711, " in run_profile("show", "--store-url", store_url).stdout
    (line,) = run_profile("show", "--json", "--app", "shop", "--store-url", store_url).stdout.splitlines()
    assert json.loads(line)["announced"][0]["peers"] == ["10.0.9.9"]
    run_profile("announce", "-", "--store-url", store_url, given="{profile: 1, app: shop, announced: []}")
    assert "nothing is announced" in run_profile("show", "--store-url", store_url).stderr


def test_resource_names_cannot_inject_terminal_sequences(store: sa.Engine, store_url: str) -> None:
    owner = ShardWorker(0, engine_for(store, DetectorSettings()), store, DetectorSettings())
    owner.take(make_records(calls({**ORIGINAL_SESSION, names.SERVER_ADDRESS: "\x1b]0;mine\x07db"})), 0)
    assert owner.commit(1)
    reported = run_profile("announce", "-", "--store-url", store_url, given=GOOD)
    assert f"{RESOURCE} has not been seen yet" in reported.stderr
    assert "]0;mine\\x07db:5432" in reported.stderr
    assert not {"\x1b", "\x07"} & set(reported.output)


def test_invalid_profile_uses_no_number(store: sa.Engine, store_url: str) -> None:
    assert run_profile("announce", "-", "--store-url", store_url, given="profile: 1").exit_code == 1
    with reading(store) as connection:
        assert entries.after(connection, 0) == []


def test_profile_of_the_maximum_size_round_trips(store: sa.Engine) -> None:
    listed = [{"resource": f"r{i} " + "ü" * 490, "server_versions": [f"{j} é" for j in range(100)]} for i in range(100)]
    profiles.enter(store, "shop", listed, sha256="x", by="ann", now_ns=1)
    with reading(store) as connection:
        (row,) = profiles.read_current(connection)
    assert row.announced == listed
    with pytest.raises(ValueError, match="no store can keep"):
        profiles.enter(store, "shop", [{"resource": "r" * 2_001}], sha256="y", by="ann", now_ns=1)


def make_records(found: list[Any], at: int = 0) -> list[Record]:
    values = streams.records(found)
    return [
        Record(partition=0, offset=at + i, value=value, appended_ns=appended, backfill=backfill)
        for i, (value, appended, backfill) in enumerate(values)
    ]


@pytest.mark.parametrize("announcing", [True, False])
def test_detector_reads_announcements_from_the_store(store: sa.Engine, store_url: str, announcing: bool) -> None:
    settings = DetectorSettings()
    owner = ShardWorker(0, engine_for(store, settings), store, settings)
    before = past()
    owner.take(make_records(before), 0)
    assert owner.commit(1)
    if announcing:
        assert run_profile("announce", "-", "--store-url", store_url, given=GOOD).stderr == ""
        owner.take_entries()
        assert owner.commit(2)
        owner = ShardWorker(0, engine_for(store, settings), store, settings)
    owner.take(make_records([*swap(), *calls(swap()[0].session, 3, 2.2)], len(before)), 0)
    assert owner.commit(3)
    with reading(store) as connection:
        rows = queries.list_alerts(connection).rows
    assert {row.rule for row in rows} == (set[str]() if announcing else {"certificate-changed", "topology-changed"})


def test_documented_profile_is_valid_and_its_table_is_complete() -> None:
    text = (Path(__file__).parents[3] / "docs" / "guides" / "tuning.md").read_text()
    found = parse(text.partition("```yaml\n")[2].partition("```")[0])
    assert (found.app, len(found.announced)) == ("shop", 1)
    assert [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")] == list(KINDS)
