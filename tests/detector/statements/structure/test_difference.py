"""What distinguishes a new statement from the nearest known one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backwatch.detector.statements.structure.alignment import align
from backwatch.detector.statements.structure.difference import describe
from backwatch.detector.statements.structure.encoding import MAX_TOKENS
from backwatch.detector.statements.structure.features import FEATURE_CELLS, WORDS_ONLY, F
from tests.detector.statements.structure.test_known import Known

PAST = "SELECT a, b FROM orders WHERE id = 7"


def describe_after(new: str, *past: str) -> dict[str, float]:
    """Return the features of a statement at a call site that knows others."""
    known = Known()
    for statement in past or (PAST,):
        known.learn(1, statement)
    read = known.read(new)
    size = int(known.sites[1]["length"][0])
    marks = np.zeros(MAX_TOKENS, np.uint8), np.zeros(MAX_TOKENS, np.uint8)
    cells = np.zeros(FEATURE_CELLS)
    describe(known.sites[1]["arena"][:size], read, marks, (known.sites[1]["known"], known.resources[1]), cells)
    return {name: float(cells[at]) for name, at in F.items() if cells[at]} | {"words-only": float(cells[WORDS_ONLY])}


def test_condition_behind_a_value_is_named() -> None:
    features = describe_after(f"{PAST} OR x IS NOT NULL")
    assert {"at-slot", "after-slot", "or-first", "or-unknown"} <= features.keys()


def test_set_operation_names_what_it_reads() -> None:
    features = describe_after(f"{PAST} UNION SELECT login, secret FROM accounts")
    assert {"set-operation-after-slot", "new-table-resource", "new-name-resource"} <= features.keys()


def test_sub_select_in_the_place_of_a_value_is_named() -> None:
    features = describe_after("SELECT a, b FROM orders WHERE id = (SELECT min(id) FROM staff)")
    assert {"slot-replaced", "sub-select-at-slot", "new-table-site"} <= features.keys()


def test_optional_filter_is_no_change_of_a_value() -> None:
    features = describe_after("SELECT a, b FROM orders WHERE state = 'x' AND id = 7")
    assert "or-added" not in features
    assert "set-operation" not in features
    assert "and-added" in features


def test_condition_of_a_query_builder_is_no_constant_condition() -> None:
    assert "constant-comparison" not in describe_after("SELECT a, b FROM orders WHERE 1 = 1 AND id = 7")
    assert "constant-comparison" in describe_after("SELECT a, b FROM orders WHERE id = 7 AND 1 = 1")


def test_words_in_the_place_of_a_value_are_words_only() -> None:
    past = "SELECT a FROM t WHERE name = 'x'"
    assert describe_after("SELECT a FROM t WHERE name = 'o'brien'", past)["words-only"] == 1.0
    assert describe_after("SELECT a FROM t WHERE name = 'o' OR 'a' = 'a'", past)["words-only"] == 0.0


TOKENS = st.lists(st.integers(1_024, 1_040), max_size=80)


@given(TOKENS, TOKENS)
def test_tokens_that_are_not_marked_stand_in_both_statements(known: list[int], new: list[int]) -> None:
    added, removed = np.zeros(MAX_TOKENS, np.uint8), np.zeros(MAX_TOKENS, np.uint8)
    hunks, prefix, suffix = align(np.array(known, np.uint16), np.array(new, np.uint16), len(new), added, removed)
    kept_new = [token for token, mark in zip(new, added, strict=False) if not mark]
    kept_known = [token for token, mark in zip(known, removed, strict=False) if not mark]
    assert kept_new == kept_known
    assert new[:prefix] == known[:prefix]
    assert new[len(new) - suffix :] == known[len(known) - suffix :]
    assert (hunks == 0) == (new == known)
