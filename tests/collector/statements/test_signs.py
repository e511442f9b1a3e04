"""Each sign on its attack, and none on honest statements."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from backwatch.collector.names import SIGNS
from backwatch.collector.statements.scan import scan
from backwatch.collector.statements.signs import STRONG_SIGNS, WEAK_SIGNS, signs_mask

P, M, S, T, O = "postgresql", "mysql", "sqlite", "mssql", "other"  # noqa: E741

SHOWN = [
    (M, "SELECT a FROM t WHERE n = 'x' -- ' AND p = 'y'", {"comment-tail"}),
    (M, "SELECT a FROM t WHERE id = 1#", {"comment-tail"}),
    (P, "SELECT a FROM t WHERE id = 1 /* LIMIT 1", {"comment-tail"}),
    (P, "SELECT a FROM t WHERE (id = 7) -- AND x = 1)", {"comment-tail"}),
    (P, "SELECT a FROM t WHERE id = 7 OR 1=1", {"tautology"}),
    (P, "SELECT a FROM t WHERE n = '' OR 'a'='a'", {"tautology"}),
    (M, "SELECT a FROM t WHERE n = '' || 1=1", {"tautology"}),
    (P, "SELECT a FROM t WHERE n = '' OR n = n", {"tautology"}),
    (M, "SELECT a FROM t WHERE n = 'a' = 'b'", {"tautology"}),
    (M, "SELECT a FROM t WHERE n = ''-''", {"tautology"}),
    (P, "SELECT a FROM t WHERE id = 7 AND 4821=4821", {"tautology"}),
    (S, "SELECT a FROM t WHERE id = 7 OR NOT 5 < 2", {"tautology"}),
    (M, "SELECT a FROM t WHERE id = 7 OR TRUE", {"tautology"}),
    (P, "SELECT a, b FROM t WHERE id = -1 UNION SELECT NULL, NULL", {"union-appended"}),
    (P, "SELECT a, b FROM t WHERE id = 1 UNION ALL SELECT 1, password FROM users", {"union-appended"}),
    (P, "SELECT a FROM t WHERE id = -1 UNION SELECT secret FROM vault", {"union-appended"}),
    (P, "SELECT a FROM t WHERE id = 1; DROP TABLE t", {"stacked"}),
    (T, "SELECT a FROM t WHERE id = 1 EXEC master", {"stacked"}),
    (M, "SELECT a FROM t WHERE id = 1 AND SLEEP(5)", {"time-delay"}),
    (P, "SELECT a FROM t WHERE id = 1 AND 1 = (SELECT 1 FROM pg_sleep(5))", {"time-delay", "conditional"}),
    (T, "SELECT a FROM t WHERE id = 1 WAITFOR DELAY '0:0:5'", {"time-delay", "stacked"}),
    (M, "SELECT a FROM t WHERE id = 1 AND BENCHMARK(5000000, MD5(1))", {"time-delay"}),
    (M, "SELECT table_name FROM information_schema.tables", {"catalogue"}),
    (S, "SELECT sql FROM sqlite_master", {"catalogue"}),
    (M, "SELECT password FROM mysql.user", {"catalogue"}),
    (M, "SELECT a FROM t WHERE n = 0x61646d696e", {"encoded-string"}),
    (M, "SELECT CHAR(65,66,67) FROM t", {"encoded-string"}),
    (P, "SELECT CHR(65)||CHR(66) FROM t", {"encoded-string"}),
    (P, "SELECT a FROM t WHERE n = 'x''", {"unbalanced-quote"}),
    (O, "SELECT a FROM t WHERE n = 'I'm here'", {"unbalanced-quote"}),
    (M, "SELECT LOAD_FILE('/etc/passwd') FROM t", {"file-access"}),
    (M, "SELECT a FROM t INTO OUTFILE '/tmp/x'", {"file-access"}),
    (P, "COPY t FROM '/etc/passwd'", {"file-access"}),
    (P, "COPY t TO PROGRAM 'curl x'", {"program"}),
    (T, "EXEC xp_cmdshell 'dir'", {"program"}),
    (M, "SELECT a FROM t WHERE id = 1 AND EXTRACTVALUE(1, CONCAT(0x7e, a))", {"error-based"}),
    (P, "SELECT a FROM t WHERE id = CAST((SELECT b FROM c LIMIT 1) AS INT)", {"error-based"}),
    (M, "SELECT a FROM t WHERE id = 1 AND @@version > 1", {"version-probe"}),
    (M, "SELECT a FROM t WHERE id = 1 AND user() = 'root' AND b = 2", {"version-probe"}),
    (P, "SELECT a FROM t WHERE id = (CASE WHEN (1=1) THEN 1 ELSE 2 END)", {"conditional"}),
    (M, "SELECT a FROM t WHERE id = IF(2>1, 1, 2)", {"conditional"}),
    (M, "SELECT a FROM t WHERE id = 1 AND ASCII(SUBSTRING(b, 1, 1)) > 64", {"conditional"}),
    (M, "SELECT a FROM t WHERE id = 1 /*!50000 AND b = 2 */", {"executable-comment"}),
    (P, "SELECT/**/a/**/FROM t", {"odd-spacing"}),
    (P, "SeLeCt a FROM t", {"odd-spacing"}),
    (M, "SELECT\x0ba FROM t", {"odd-spacing"}),
    (M, "SELECT a\u00a0FROM t", {"odd-spacing"}),
]

HONEST = [
    (P, "SELECT u.id, u.name AS user_name FROM users AS u WHERE u.id = %(id_1)s AND u.active IS true LIMIT 1"),
    (P, 'SELECT "auth_user"."id" FROM "auth_user" WHERE ("auth_user"."a" = %s OR "auth_user"."b" IS NULL) LIMIT 21'),
    (P, "SELECT a FROM t WHERE 1=1 AND b = 2"),
    (P, "SELECT a FROM t WHERE a = 1 AND 1 = 0"),
    (P, "SELECT a FROM t WHERE false"),
    (P, "SELECT a FROM t WHERE a = 1 OR 0 = 1"),
    (P, "SELECT a FROM t WHERE d ->> 'k' = 'v' AND c @> '{}'::jsonb AND e <> ''"),
    (P, "SELECT a FROM t WHERE d BETWEEN '2024-01-01' AND '2024-02-01'"),
    (P, "SELECT a FROM t WHERE ts > now() - interval '7 days'"),
    (P, "SELECT a, 'x' AS kind FROM t UNION ALL SELECT a, 'y' FROM u WHERE b = 'c'"),
    (P, "SELECT a FROM t WHERE b = 'c' UNION SELECT a FROM u WHERE d = 'e' ORDER BY 1"),
    (P, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT i FROM n"),
    (P, "SELECT a FROM t WHERE n = 'O''Brien; -- DROP TABLE x' AND b = ' OR 1=1'"),
    (P, "SELECT a FROM t /*traceparent='00-abc-01',route='/x'*/"),
    (P, "-- name: GetAuthor :one\nSELECT a FROM t WHERE id = $1 LIMIT 1"),
    (P, "SELECT a -- don't forget\nFROM t -- all of them"),
    (P, "CREATE FUNCTION f() RETURNS int AS $$ BEGIN RETURN 1; END; $$ LANGUAGE plpgsql;"),
    (P, "BEGIN; UPDATE t SET a = 1; COMMIT"),
    (P, "UPDATE t SET a = 1 WHERE id = 1;UPDATE t SET a = 2 WHERE id = 2;UPDATE t SET a = 3 WHERE id = 3"),
    (P, "select version()"),
    (P, "select pg_catalog.version()"),
    (P, "INSERT INTO t (a) VALUES ('x') ON CONFLICT (a) DO UPDATE SET a = EXCLUDED.a RETURNING id"),
    (P, "SELECT CASE WHEN a = 1 THEN 'x' WHEN b > 2 THEN 'y' ELSE 'z' END FROM t"),
    (P, "SELECT CASE a WHEN 1 THEN 'x' END FROM t"),
    (P, "SELECT a FROM t WHERE (SELECT count(*) FROM u WHERE u.t = t.id) > 3"),
    (P, "SELECT CAST(a AS numeric), CAST('5' AS int) FROM t"),
    (M, "SELECT DATABASE()"),
    (M, "SELECT @@version"),
    (M, "SELECT a FROM t WHERE b = 0x8f01a2ffee000102"),
    (M, "SELECT a FROM t WHERE f & 0x3f AND g | 1"),
    (M, "INSERT INTO t (a, b) VALUES (1, CHAR(10)), (2, 'y') ON DUPLICATE KEY UPDATE b = VALUES(b)"),
    (M, "SELECT IF(a > 1, 'x', 'y'), IFNULL(b, 0) FROM t FOR UPDATE"),
    (M, "SELECT a FROM t WHERE title LIKE '%%' OR body LIKE '%%'"),
    (M, "INSERT INTO t (a) VALUES (1); SELECT LAST_INSERT_ID()"),
    (T, "SET NOCOUNT ON; INSERT INTO [t] ([a]) VALUES (@p0); SELECT [id] FROM [t] WHERE @@ROWCOUNT = 1"),
    (T, "SELECT TOP 10 [a] FROM [t] WHERE [b] = N'x' ORDER BY [c] OFFSET 0 ROWS FETCH NEXT 5 ROWS ONLY"),
    (S, 'SELECT "a"."id" FROM "a" WHERE "a"."n" = ? OR "a"."m" LIKE ? ESCAPE \'\\\''),
    (S, "SELECT hex(randomblob(16))"),
    (S, "CREATE TRIGGER x AFTER INSERT ON t BEGIN UPDATE u SET n = n + 1; END"),
    (O, "SELECT a FROM t WHERE b = :1 AND ROWNUM <= :2"),
]


@pytest.mark.parametrize(("dialect", "text", "signs"), SHOWN)
def test_an_attack_shows_its_sign(dialect: str, text: str, signs: set[str]) -> None:
    assert signs <= set(scan(text, dialect).signs)


@pytest.mark.parametrize(("dialect", "text"), HONEST)
def test_an_honest_statement_shows_none(dialect: str, text: str) -> None:
    assert scan(text, dialect).signs == ()


def test_a_catalogue_union_is_a_sign_only_behind_a_condition() -> None:
    both = "SELECT sql FROM (SELECT * FROM sqlite_master UNION ALL SELECT * FROM sqlite_temp_master) WHERE name = ?"
    assert scan(both, S).signs == ("catalogue",)
    hidden = "SELECT a FROM t WHERE n = '' AND 1 IN (SELECT 1 FROM sqlite_master) UNION SELECT sql FROM sqlite_master"
    assert "union-appended" in scan(hidden, S).signs


def test_every_sign_of_the_vocabulary_is_shown_by_something() -> None:
    found = set[str]().union(*(signs for _, _, signs in SHOWN))
    # Text of SQL alone does not show these: see request/ and documents/.
    assert found | {"cut", "request-input", "operator-for-value"} == set(SIGNS)


def test_the_mask_follows_the_order_of_the_vocabulary() -> None:
    assert signs_mask(SIGNS) == (1 << len(SIGNS)) - 1
    assert signs_mask("") == signs_mask("nonsense") == 0
    assert [signs_mask(sign) for sign in SIGNS] == [1 << i for i in range(len(SIGNS))]


def test_a_sign_is_either_strong_or_weak() -> None:
    assert set(SIGNS) == STRONG_SIGNS | WEAK_SIGNS
    assert not STRONG_SIGNS & WEAK_SIGNS


DIALECT = {"postgres": P, "mysql": M, "sqlite": S, "generic": O}


def _rates(path: Path) -> dict[tuple[str, str], float]:
    """Return the share of statements with any sign and with a strong one, by label (inert attempts apart)."""
    counted: Counter[tuple[str, str]] = Counter()
    with gzip.open(path, "rt") as lines:
        for line in lines:
            row = json.loads(line)
            label = "inert" if row["kind"].endswith("_inert") else row["label"]
            signs = set(scan(row["text"], DIALECT.get(row["dialect"], O)).signs)
            counted[label, "all"] += 1
            counted[label, "any"] += bool(signs)
            counted[label, "strong"] += bool(signs & STRONG_SIGNS)
    return {key: count / counted[key[0], "all"] for key, count in counted.items()}


@pytest.mark.data
def test_the_public_statements_are_distinguished(data_folder: Path) -> None:
    rates = _rates(data_folder / "queries" / "statements.jsonl.gz")
    assert rates["attack", "strong"] > 0.89
    assert rates["benign", "strong"] < 0.003
    assert rates["benign", "any"] < 0.02


@pytest.mark.data
@pytest.mark.parametrize("app", ["app_airports", "app_shop"])
def test_a_real_campaign_shows_signs_and_the_app_shows_none(app: str, data_folder: Path) -> None:
    rates = _rates(data_folder / "queries" / f"{app}.jsonl.gz")
    assert rates["attack", "any"] > 0.99
    assert rates["benign", "any"] == 0
    assert rates["inert", "any"] == 0
