"""What no valid statement contains."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.statements.canonical import canonicalize
from backwatch.detector.statements.structure.encoding import tokens_of
from backwatch.detector.statements.structure.grammar import KIND_CELLS, KINDS, check_grammar


def find_faults(statement: str) -> set[str]:
    """Return what is wrong with a statement."""
    codes, _ = tokens_of(canonicalize(statement, "postgresql"))
    cells = np.zeros(KIND_CELLS)
    check_grammar(codes, codes.shape[0], cells)
    return {kind for kind, count in zip(KINDS, cells, strict=True) if count}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT a FROM t WHERE b = 1 AND c IN (1, 2) OR d BETWEEN 1 AND 2 ORDER BY e LIMIT 10",
        "SELECT * FROM t WHERE 1 = 1 AND a LIKE 'x' AND NOT b",
        "WITH x AS (SELECT a FROM t UNION ALL SELECT b FROM u) SELECT * FROM x WHERE a > ANY (SELECT 1)",
        "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y') ON CONFLICT (a) DO UPDATE SET b = 'z' RETURNING a",
        "UPDATE t SET a = CASE WHEN b = 1 AND c = 2 THEN 3 ELSE 4 END WHERE d = 5",
        "SELECT sum(a) OVER (ORDER BY b ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING) FROM t",
        "SELECT extract(year FROM a), trim('x' FROM b), interval '1' day FROM t WHERE c > now() - interval '7' day",
        "SELECT a FROM t WHERE b @> '{}' AND c ->> 'd' = 'e' FOR UPDATE SKIP LOCKED",
        "(SELECT a FROM t) UNION (SELECT b FROM u) ORDER BY 1",
    ],
)
def test_valid_statements_have_no_faults(statement: str) -> None:
    assert find_faults(statement) == set()


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT a FROM t WHERE b = 1 SELECT c FROM u", "query-after-value"),
        ("SELECT a FROM t WHERE b = 'x' 'y' AND c = 1", "values-adjacent"),
        ("SELECT a FROM t WHERE b = 1 OR", "operand-missing"),
        ("SELECT a FROM t WHERE b = 1 ORDER BY c AND d = 2", "clause-out-of-order"),
        ("SELECT a FROM t WHERE b = 1 = 2", "comparison-chained"),
        ("INSERT INTO t (a) VALUES ('x' OR a = 1)", "condition-in-values"),
        ("DELETE FROM t WHERE a = 1 UNION SELECT 2", "set-operation-misplaced"),
        ("SELECT a FROM t WHERE b = 1 UNION SELECT 1, 2, 3", "constant-row-appended"),
        ("SELECT a FROM t WHERE b = 1 AND connection_id() = connection_id()", "call-compared-with-itself"),
        ("SELECT a FROM t WHERE b = 1 OR 1", "or-constant"),
    ],
)
def test_each_fault_is_found(statement: str, kind: str) -> None:
    assert kind in find_faults(statement)


@given(
    st.lists(
        st.sampled_from(
            [
                "SELECT",
                "FROM",
                "WHERE",
                "(",
                ")",
                ",",
                ";",
                "'x'",
                "1",
                "a",
                "UNION",
                "AND",
                "OR",
                "=",
                "CASE",
                "END",
                "ORDER",
                "BY",
                "VALUES",
            ]
        )
    )
)
def test_any_order_of_tokens_is_read_to_its_end(words: list[str]) -> None:
    assert find_faults(" ".join(words)) <= set(KINDS)


def test_a_text_that_is_cut_in_its_middle_has_no_faults() -> None:
    columns = ", ".join(f"max(c{at})" for at in range(100))
    assert find_faults(f"SELECT a FROM (SELECT {columns} FROM t) x WHERE b IN (SELECT {columns} FROM u)") == set()
