"""What a call site is known for: exemplars, filters, and the index of beginnings."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.statements.canonical import canonicalize
from backwatch.detector.baselines.call_site import CALL_SITE
from backwatch.detector.statements.structure.encoding import tokens_of
from backwatch.detector.statements.structure.known import (
    ARENA_TOKENS,
    MAX_EXEMPLARS,
    RESOURCE_STRUCTURE,
    SITE_STRUCTURE,
    find_home,
    learn_statement,
    nearest,
)
from backwatch.detector.statements.structure.roles import find_roles


class Known:
    """One resource with a few call sites."""

    def __init__(self) -> None:
        self.sites = np.zeros(4, SITE_STRUCTURE)
        self.resources = np.zeros(2, RESOURCE_STRUCTURE)
        self.places = np.zeros(4, CALL_SITE)

    def read(self, statement: str) -> tuple[Any, Any, Any, int]:
        """Return codes, ids, roles and number of a statement's tokens."""
        codes, ids = tokens_of(canonicalize(statement, "postgresql"))
        roles = np.zeros(codes.shape[0] + 1, np.uint8)
        find_roles(codes, codes.shape[0], roles)
        return codes, ids, roles, codes.shape[0]

    def learn(self, site: int, statement: str) -> None:
        """Add a quiet statement of a call site."""
        self.places[site]["calls"] += 1
        learn_statement(self.sites, self.places, self.resources[1], (site, 1), *self.read(statement))


def test_nearest_statement_is_the_one_with_most_in_common() -> None:
    known = Known()
    known.learn(1, "SELECT a, b FROM t WHERE c = 1")
    known.learn(1, "UPDATE t SET a = 1 WHERE c = 2")
    codes, _, _, count = known.read("UPDATE t SET a = 1 WHERE c = 2 OR d = 3")
    offset, size, _ = nearest(known.sites[1], codes, count)
    expected = known.read("UPDATE t SET a = 1 WHERE c = 2")[0]
    assert known.sites[1]["arena"][offset : offset + size].tolist() == expected.tolist()


def test_call_site_is_found_by_the_beginning_of_its_statements() -> None:
    known = Known()
    known.learn(2, "SELECT a, b FROM t WHERE c = 1")
    same_table = known.read("SELECT a, b FROM t WHERE c = 1 UNION SELECT login, secret FROM accounts")
    same_verb = known.read("SELECT z FROM t")
    other = known.read("SELECT a, b FROM u")
    found = [find_home(known.resources[1], known.sites, 1, *read) for read in (same_table, same_verb, other)]
    assert found == [2, 2, 0]


def test_call_site_of_another_resource_is_not_found() -> None:
    known = Known()
    known.learn(2, "SELECT a, b FROM t WHERE c = 1")
    known.sites[2]["owner"] = 7
    assert find_home(known.resources[1], known.sites, 1, *known.read("SELECT a, b FROM t")) == 0


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_exemplars_never_need_more_room_than_there_is(columns: list[int]) -> None:
    known = Known()
    for at, count in enumerate(columns):
        known.learn(1, f"SELECT {', '.join(f'c{at}_{i}' for i in range(count % 200))} FROM t{at % 7} WHERE a = 1")
    site = known.sites[1]
    lengths = site["length"][: site["exemplars"]]
    assert site["exemplars"] <= MAX_EXEMPLARS
    assert int(lengths.sum()) <= ARENA_TOKENS
    newest = known.read(f"SELECT c FROM t{(len(columns) - 1) % 7} WHERE a = 1")
    assert nearest(site, newest[0], newest[3])[1] > 0


def test_same_statement_is_kept_once() -> None:
    known = Known()
    for _ in range(5):
        known.learn(1, "SELECT a FROM t WHERE b = 1")
    assert known.sites[1]["exemplars"] == 1


def test_busy_call_site_keeps_its_beginning_from_newer_ones() -> None:
    known = Known()
    for _ in range(3):
        known.learn(1, "SELECT a FROM t WHERE c = 1")
    known.learn(2, "SELECT a FROM t WHERE c = 1 AND 2 = 2")
    assert find_home(known.resources[1], known.sites, 1, *known.read("SELECT a FROM t WHERE c = 1 OR d = 1")) == 1


def test_short_statement_stays_beside_many_long_ones() -> None:
    known = Known()
    known.learn(1, "SELECT a FROM t WHERE c = 1")
    for at in range(60):
        filters = " AND ".join(f"x{(at * 7 + i) % 31} = {i}" for i in range(12))
        known.learn(1, f"SELECT a FROM t WHERE {filters}")
    codes, _, _, count = known.read("SELECT a FROM t WHERE c = 1 AND 2 = 2")
    _, size, _ = nearest(known.sites[1], codes, count)
    assert size == len(known.read("SELECT a FROM t WHERE c = 1")[0])
