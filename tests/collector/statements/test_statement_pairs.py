"""Pairs of statements that are the same query, and pairs that are not, in every dialect."""

import pytest

from backwatch.collector.statements.canonical import canonicalize

P, M, S, T, O = "postgresql", "mysql", "sqlite", "mssql", "other"  # noqa: E741
ALL = (P, M, S, T, O)

SAME = [
    *((d, "SELECT id FROM books WHERE pages = 12", "SELECT id FROM books WHERE pages = 3.5e2") for d in ALL),
    *(
        (d, "SELECT id FROM books WHERE title = 'x'", "SELECT id FROM books WHERE title = 'Bob''s -- ; book'")
        for d in ALL
    ),
    *((d, "SELECT id FROM books WHERE id IN (7)", "SELECT id FROM books WHERE id IN (1, 2,3 ,4)") for d in ALL),
    *(
        (d, "select ID from Books where pages=1", "SELECT id\n\tFROM books /* list */ WHERE pages = 9 -- end")
        for d in ALL
    ),
    *(
        (d, "INSERT INTO b (x, y) VALUES (1, 'a')", "INSERT INTO b (x, y) VALUES (2, 'b'), (3, NULL), (-4, '')")
        for d in ALL
    ),
    *((d, "INSERT INTO b (x, y) VALUES (1, now())", "INSERT INTO b (x, y) VALUES (2, now()), (3, now())") for d in ALL),
    *((d, "SELECT id FROM b WHERE n = -5 LIMIT 3", "SELECT id FROM b WHERE n = 5 LIMIT 30") for d in ALL),
    *(
        (d, "SELECT id FROM b WHERE (x, y) IN ((1, 2))", "SELECT id FROM b WHERE (x, y) IN ((1, 2), (3, 4))")
        for d in ALL
    ),
    *((d, "SELECT a FROM b WHERE n>=1", "SELECT a FROM b WHERE n >= 2") for d in ALL),
    *((d, "SELECT a FROM b WHERE id = ?", "SELECT a FROM b WHERE id = 17") for d in ALL),
    (P, "SELECT a FROM b WHERE t = $$plain$$", "SELECT a FROM b WHERE t = $f$it's $$ here$f$"),
    (P, "SELECT a FROM b WHERE t = E'x'", r"SELECT a FROM b WHERE t = E'it\'s OR 2=2 --'"),
    (P, "SELECT a FROM b WHERE t = U&'x'", "SELECT a FROM b WHERE t = 'x'"),
    (P, "SELECT a /* x /* inner */ y */ FROM b", "SELECT a FROM b"),
    (P, "SELECT a FROM b WHERE id = $1", "SELECT a FROM b WHERE id = %(id)s"),
    (P, "SELECT a FROM b WHERE j @> '{}'::jsonb", "SELECT a FROM b WHERE j @> '{\"k\": 1}' :: jsonb"),
    (P, "SELECT a FROM b WHERE id = ANY(ARRAY[1])", "SELECT a FROM b WHERE id = ANY(ARRAY[1,2,3])"),
    (P, "SELECT a FROM b WHERE x = 1_000", "SELECT a FROM b WHERE x = 0x1F"),
    (M, r"SELECT a FROM b WHERE t = 'it\'s OR 1=1'", "SELECT a FROM b WHERE t = 'x'"),
    (M, 'SELECT a FROM b WHERE t = "abc"', 'SELECT a FROM b WHERE t = "de\'f"'),
    (M, "SELECT a FROM b # why\nWHERE id = 1", "SELECT a FROM b WHERE id = 2"),
    (M, "SELECT a FROM b WHERE t = x'4D'", "SELECT a FROM b WHERE t = 'q'"),
    (M, "SELECT `a` FROM `b` LIMIT 5, 10", "SELECT `a` FROM `b` LIMIT 6, 20"),
    (S, "SELECT [a b] FROM c WHERE id = ?1", "SELECT [a b] FROM c WHERE id = :other"),
    (S, "SELECT a FROM b WHERE x = X'53'", "SELECT a FROM b WHERE x = x'5300'"),
    (S, "SELECT a FROM b WHERE x = $one", "SELECT a FROM b WHERE x = @two"),
    (S, 'SELECT a FROM b WHERE t = "Paris"', 'SELECT a FROM b WHERE t = "London"'),
    (T, "SELECT TOP 10 [a b] FROM [c] WHERE n = N'x'", "SELECT TOP 20 [a b] FROM [c] WHERE n = N'y''z'"),
    (T, "SELECT a FROM #tmp WHERE id = @p0", "SELECT a FROM #tmp WHERE id = @p1"),
    (T, "SELECT a FROM b WHERE m > $12.5", "SELECT a FROM b WHERE m > $3"),
    (T, "SELECT [a]]b] FROM c WHERE x = 0x1F", "SELECT [a]]b] FROM c WHERE x = 0x20"),
    *((d, "SET a.b TO c", "SET a.b TO 'd'") for d in ALL),
    *((d, "EXECUTE a(b, 3)", "EXECUTE a('c', d)") for d in ALL),
    (O, "SELECT a FROM b WHERE t = q'[it's]'", "SELECT a FROM b WHERE t = q'{x}'"),
    (O, "SELECT a FROM b WHERE x = :1", "SELECT a FROM b WHERE x = :name"),
]

DIFFERENT = [
    *(
        (d, "SELECT a FROM b WHERE id = 1", other)
        for d in ALL
        for other in (
            "SELECT c FROM b WHERE id = 1",
            "SELECT a FROM c WHERE id = 1",
            "SELECT a FROM b WHERE id = 1 OR 2=2",
            "SELECT a FROM b WHERE id = 1 UNION SELECT p FROM users",
            "SELECT a FROM b WHERE id = 1; DROP TABLE b",
            "SELECT a FROM b WHERE id = id",
            'SELECT a FROM b WHERE id = "id"',
            "SELECT a FROM b WHERE id = 1 - 1",
            "SELECT a FROM b WHERE id = (1)",
            "SELECT a FROM b WHERE id = \u20181\u2019",
            "SELECT a FROM b WHERE id > 1",
            "SELECT a FROM b WHERE id = @@version",
        )
        if not (d == M and '"' in other)
    ),
    *((d, "SELECT a FROM b WHERE n = 'x' AND p = 'y'", "SELECT a FROM b WHERE n = 'x' -- ' AND p = 'y'") for d in ALL),
    *((d, "SELECT a FROM b WHERE n = 'x'", "SELECT a FROM b WHERE n = '' OR SLEEP(5) OR n = ''") for d in ALL),
    *((d, "SELECT f(1)", "SELECT f(1, 2)") for d in ALL),
    *((d, "SELECT a FROM b WHERE x IN (1, 2)", "SELECT a FROM b WHERE x IN (1, (SELECT 2))") for d in ALL),
    *((d, "INSERT INTO b VALUES (1, 'x')", "INSERT INTO b VALUES (1, (SELECT p FROM u))") for d in ALL),
    *((d, r"SELECT a FROM b WHERE n = 'x\' OR 1=1 -- '", "SELECT a FROM b WHERE n = 'y'") for d in (P, S, T, O)),
    *((d, "SELECT a FROM b WHERE x = 1", "SELECT a FROM b WHERE x = 1 -- c\r OR 1=1") for d in (P, T, O)),
    *(
        (d, "SET a = b", other)
        for d in ALL
        for other in (
            "SET c = b",
            "SET a = ON",
            "SET a = f(b)",
            "SET a = b; DROP TABLE c",
            "SET a = (SELECT b FROM c)",
            "SET a = b UNION SELECT c",
            "SET SESSION a = b",
        )
    ),
    *((d, "EXECUTE a(b)", other) for d in ALL for other in ("EXECUTE c(b)", "EXECUTE a(b, c)", "EXECUTE a(f(b))")),
    *(
        (d, 'SELECT a AS "b c" FROM "d e"', other)
        for d in ALL
        if d != M
        for other in (
            'SELECT a AS "c c" FROM "d e"',
            'SELECT a AS "b c" FROM "e e"',
            'SELECT a AS "b c" FROM "d e"."f g"',
        )
    ),
    (P, 'SELECT "a b" FROM c', 'SELECT "d e" FROM c'),
    (P, 'SELECT "a" FROM b', 'SELECT "c" FROM b'),
    (P, "SELECT a FROM b WHERE t = $$x$$", "SELECT a FROM b WHERE t = $$x$$ OR 1=1 --$$"),
    (M, "SELECT `a` FROM b", "SELECT `c` FROM b"),
    (M, "SELECT a FROM b WHERE id = 1", "SELECT a FROM b WHERE id = 1 /*!50000 UNION SELECT p FROM u*/"),
    (M, "SELECT a FROM b WHERE id = 1", "SELECT a FROM b WHERE id = 1 /*M!50701 UNION SELECT p FROM u*/"),
    (M, "SELECT a FROM b WHERE id = 1", "SELECT a FROM b WHERE id = 1 --1 UNION SELECT p FROM u"),
    (M, "SELECT a FROM b WHERE id = 1", "SELECT a FROM b WHERE id = 1 /* /* */ UNION SELECT p FROM u"),
    (M, "SELECT a FROM b WHERE n = 'y'", r"SELECT a FROM b WHERE n = 'x\\' OR 1=1 -- '"),
    (S, "SELECT [a] FROM b", "SELECT [c] FROM b"),
    (S, "SELECT a FROM b WHERE x = 1", "SELECT a FROM b WHERE x = 1 /* /* */ UNION SELECT p FROM u"),
    (T, "SELECT [a] FROM b", "SELECT [c] FROM b"),
    (T, "SELECT a FROM #t1", "SELECT a FROM #t2"),
]


@pytest.mark.parametrize(("dialect", "one", "other"), SAME)
def test_values_and_spelling_do_not_change_the_statement(dialect: str, one: str, other: str) -> None:
    assert canonicalize(one, dialect) == canonicalize(other, dialect)


@pytest.mark.parametrize(("dialect", "one", "other"), DIFFERENT)
def test_different_queries_are_different_statements(dialect: str, one: str, other: str) -> None:
    assert canonicalize(one, dialect) != canonicalize(other, dialect)


def test_there_are_as_many_pairs_as_were_promised() -> None:
    assert len(SAME) + len(DIFFERENT) >= 74
