"""The learnt sections of a profile: read, written and merged without loss, in one form, whatever texts they hold."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.detector.profile.comparing import find_differences, find_excess, find_not_held, merge
from backwatch.detector.profile.document import (
    TLS_LEVELS,
    DestinationEntry,
    ExceptionEntry,
    Profile,
    ResourceEntry,
    StatementEntry,
    VolumeEntry,
    identify,
    read_plain,
)
from backwatch.detector.profile.reading import NotAProfile, parse
from backwatch.detector.profile.writing import serialize
from tests.services.process import ROOT

_names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=30)
_sites = _names | st.just("")
_statements = st.text(min_size=1, max_size=60)
_lists = st.frozensets(_names, max_size=3).map(lambda some: tuple(sorted(some)))
_numbers = st.integers(-1, 10**15 - 1)
_days = st.dates(date(2000, 1, 1), date(2200, 12, 31)).map(date.isoformat)


def _section(name: str, strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    unique = st.lists(strategy, max_size=4, unique_by=lambda entry: identify(name, entry))
    return unique.map(lambda entries: tuple(sorted(entries)))


PROFILES = st.builds(
    Profile, app=_names,
    resources=_section("resources", st.builds(
        ResourceEntry, resource=_names, tls=st.sampled_from(("", *TLS_LEVELS)), tls_versions=_lists, issuers=_lists,
        certificates=st.frozensets(st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=2).map(
            lambda some: tuple(sorted(some))
        ), accounts=_lists,
    )),
    volume=_section("volume", st.builds(
        VolumeEntry, resource=_names, calls=_numbers, rows_returned=_numbers, bytes_sent=_numbers,
        bytes_received=_numbers,
    )),
    destinations=_section("destinations", st.builds(
        DestinationEntry, site=_sites, destination=_names, by=_sites, reason=_sites,
    )),
    statements=_section("statements", st.builds(
        StatementEntry, site=_sites, statement=_statements, example=_statements | st.just(""), by=_sites,
        reason=_sites,
    )),
    exceptions=_section("exceptions", st.builds(
        ExceptionEntry, site=_sites, statement=_statements, until=_days, reason=_names, by=_sites,
    ) | st.builds(ExceptionEntry, site=_sites, destination=_names, until=_days, reason=_names)),
)  # fmt: skip


@given(PROFILES)
def test_written_profile_reads_back_equal_and_writes_the_same_bytes(profile: Profile) -> None:
    text = serialize(profile)
    assert parse(text) == profile
    assert serialize(parse(text)) == text
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.isascii() or text.encode().decode() == text
    assert read_plain(profile.plain()) == profile


@given(PROFILES, PROFILES)
def test_merged_profile_holds_everything_of_both(one: Profile, other: Profile) -> None:
    both = merge(one, other)
    assert merge(both, other) == both
    assert merge(both, one) == both
    today = "2026-01-01"
    for part in (one, other):
        assert find_not_held(part, both, today) == Profile(app=part.app)
        assert list(find_excess(both, part, today)) == []


@given(PROFILES)
def test_profile_does_not_differ_from_itself(profile: Profile) -> None:
    assert list(find_differences(profile, profile)) == []
    assert len(list(find_differences(Profile(app="a"), profile))) == sum(
        len(section)
        for section in (
            profile.resources, profile.volume, profile.destinations, profile.statements, profile.exceptions
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ("statements:\n- site: a", "4: statements[0].statement is missing"),
        (
            "statements:\n- statement: a\n- {statement: a, site: b}\n- statement: a",
            "6: statements[2] stands here twice",
        ),
        ("statements: {}", "3: statements must be a list"),
        ("statements: [a]", "3: statements[0] must have site, statement"),
        ("statements:\n- statement: ''", "4: statements[0].statement must be a text"),
        ("destinations:\n- destination: a\n  host: b", "5: destinations[0].'host' is not known here"),
        ("resources:\n- resource: r\n  tls: strong", "5: resources[0].tls: 'strong' must be one of none, encrypted"),
        ("resources:\n- resource: r\n  certificates: [ab]", "5: resources[0].certificates[0]: 'ab' must be a SHA-256"),
        ("volume:\n- resource: r\n  calls: many", "5: volume[0].calls must be a whole number"),
        ("volume:\n- resource: r\n  calls: -1", "5: volume[0].calls must be a whole number"),
        ("exceptions:\n- statement: a\n  reason: b", "4: exceptions[0].until is missing"),
        ("exceptions:\n- statement: a\n  until: 2027-01-31", "4: exceptions[0].reason is missing"),
        ("exceptions:\n- {statement: a, until: soon, reason: b}", "4: exceptions[0].until: 'soon' must be a day"),
        ("exceptions:\n- {until: 2027-01-31, reason: b}", "4: exceptions[0] must have either statement or destinat"),
    ],
)
def test_fault_in_a_section_is_reported_with_its_line(section: str, fault: str) -> None:
    with pytest.raises(NotAProfile) as caught:
        parse(f"profile: 1\napp: a\n{section}\n")
    assert any(f"{line}: {what}".startswith(fault) for line, what in caught.value.faults), caught.value.faults


def test_adding_an_entry_changes_only_its_own_lines() -> None:
    entries = [StatementEntry(site=f"{site}.py:f", statement=f"SELECT {site}") for site in "acd"]
    before = serialize(Profile(app="a", statements=tuple(entries)))
    more = StatementEntry(site="b.py:f", statement="SELECT b")
    after = serialize(Profile(app="a", statements=tuple(sorted([*entries, more]))))
    assert [line for line in after.splitlines() if line not in before.splitlines()] == [
        "  - site: b.py:f", '    statement: "SELECT b"'
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("site", "host", "missing"),
    [
        ("pay.py:f", "api.pay.example.com:443", False), ("pay.py:f", "evil.example.com:443", True),
        ("new.py:f", "evil.example.com:443", True), ("new.py:f", "api.pay.example.com:443", False),
        ("new.py:f", "10.0.0.9:5432", False), ("pay.py:f", "10.0.0.9:5432", True),
    ],
)  # fmt: skip
def test_destination_counts_at_its_places_and_elsewhere_if_public(site: str, host: str, missing: bool) -> None:
    held = Profile(
        app="a", destinations=(DestinationEntry(site="pay.py:f", destination="api.pay.example.com:443"),)
    )  # fmt: skip
    seen = Profile(app="a", destinations=(DestinationEntry(site=site, destination=host),))
    assert bool(find_not_held(seen, held, "2027-01-01").destinations) == missing
    assert find_not_held(seen, Profile(app="a"), "2027-01-01").destinations == ()


def test_documented_profiles_are_valid() -> None:
    text = (ROOT / "docs" / "guides" / "profile.md").read_text()
    blocks = [block.partition("```")[0] for block in text.split("```yaml\n")[1:]]
    assert [parse(block).app for block in blocks] == ["shop"] * 3


def test_exception_holds_until_its_day_has_ended() -> None:
    entry = ExceptionEntry(site="a", statement="SELECT b", until="2027-01-31", reason="hotfix")
    held, seen = Profile(app="a", exceptions=(entry,)), Profile(
        app="a", statements=(StatementEntry(site="a", statement="SELECT b"),)
    )  # fmt: skip
    assert find_not_held(seen, held, "2027-01-31").statements == ()
    assert find_not_held(seen, held, "2027-02-01").statements == seen.statements
    assert entry.until_ns == 1_801_440_000_000_000_000
