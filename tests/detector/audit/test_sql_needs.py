"""Which rights a statement needs."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.detector.audit.sql_needs import derive_needs


def needs(text: str, *, mysql: bool = False, kinds: tuple[str, ...] = ("table",)) -> set[str]:
    """Return ``PRIVILEGE schema.table`` of each need."""
    return {
        f"{need.privilege} {'.'.join(need.name)}".strip()
        for need in derive_needs(text, mysql=mysql)
        if need.kind in kinds
    }


@pytest.mark.parametrize(("text", "expected"), [
    ('SELECT a FROM "Or ders" o, Sales.Items i LEFT JOIN x USING (id)', "SELECT Or ders, SELECT sales.items, SELECT x"),
    ("SELECT * FROM (SELECT * FROM a UNION ALL SELECT * FROM b) AS c", "SELECT a, SELECT b"),
    ("SELECT 1 FROM t1 INNER JOIN (t2 JOIN t3 ON t2.a = t3.a) ON t1.a = t2.a", "SELECT t1, SELECT t2, SELECT t3"),
    ("SELECT EXTRACT(YEAR FROM at) FROM t WHERE a IS DISTINCT FROM b", "SELECT t"),
    ("SELECT * FROM generate_series(?,?) AS n(x) CROSS JOIN LATERAL (SELECT ? FROM z) q", "SELECT z"),
    ("SELECT a FROM t WHERE id IN(SELECT id FROM u WHERE b = ANY(?))", "SELECT t, SELECT u"),
    ("SELECT a FROM t FOR UPDATE OF t SKIP LOCKED", "SELECT t, LOCK ROWS t"),
    ("INSERT INTO t(a) VALUES(?)", "INSERT t"),
    ("INSERT INTO t(a) VALUES(?) RETURNING id", "INSERT t, SELECT t"),
    ("INSERT INTO t(a) SELECT b FROM u", "INSERT t, SELECT u"),
    ("INSERT INTO t(a) VALUES(?) ON CONFLICT DO NOTHING", "INSERT t"),
    ("INSERT INTO t(a) VALUES(?) ON CONFLICT(a) DO NOTHING", "INSERT t, SELECT t"),
    ("INSERT INTO t(a) VALUES(?) ON CONFLICT(a) DO UPDATE SET b = EXCLUDED.b", "INSERT t, SELECT t, UPDATE t"),
    ("UPDATE t SET a = ?", "UPDATE t"),
    ("UPDATE t SET a = now(), b = DEFAULT", "UPDATE t"),
    ("UPDATE t SET a = a + ?", "SELECT t, UPDATE t"),
    ("UPDATE t SET a = u.b FROM u WHERE u.id = t.id", "SELECT t, SELECT u, UPDATE t"),
    ("DELETE FROM t", "DELETE t"),
    ("DELETE FROM t WHERE id = ?", "DELETE t, SELECT t"),
    ("DELETE FROM t WHERE EXISTS(SELECT ? FROM u WHERE u.id = ?)", "DELETE t, SELECT u"),
    ("DELETE FROM t WHERE EXISTS(SELECT ? FROM u WHERE u.id = t.id)", "DELETE t, SELECT t, SELECT u"),
    ("DELETE FROM t USING u WHERE t.a = u.a", "DELETE t, SELECT t, SELECT u"),
    ("WITH x AS(SELECT * FROM a) SELECT * FROM x JOIN b USING(id)", "SELECT a, SELECT b"),
    ("WITH gone AS(DELETE FROM a WHERE id = ? RETURNING id) INSERT INTO b SELECT id FROM gone",
     "DELETE a, SELECT a, INSERT b"),
    ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET b = ? WHEN NOT MATCHED THEN INSERT VALUES(?)",
     "SELECT t, SELECT s, UPDATE t, INSERT t"),
    ("UPDATE t SET a = y.b FROM(SELECT b, id FROM u) AS y WHERE t.id = y.id", "SELECT t, SELECT u, UPDATE t"),
    ("DELETE FROM t USING(SELECT id FROM u) AS y WHERE t.id = y.id", "DELETE t, SELECT t, SELECT u"),
    ("INSERT INTO t(a)(SELECT a FROM u) UNION(SELECT a FROM v)", "INSERT t, SELECT u, SELECT v"),
    ('INSERT INTO "auth_user"("name") VALUES(?) RETURNING "auth_user"."id"', "INSERT auth_user, SELECT auth_user"),
    ('SELECT(?) AS "a" FROM "shop_order" WHERE "shop_order"."id" = ? LIMIT ?', "SELECT shop_order"),
    ("COPY t(a) FROM STDIN", "INSERT t"),
    ("COPY(SELECT a FROM t) TO STDOUT", "SELECT t"),
    ("TRUNCATE TABLE a, b", "TRUNCATE a, TRUNCATE b"),
    ("LOCK TABLE a IN ACCESS SHARE MODE", "SELECT a"),
    ("LOCK TABLE a IN SHARE MODE", "LOCK a"),
    ("EXPLAIN ANALYZE SELECT a FROM t", "SELECT t"),
    ("DECLARE c CURSOR FOR SELECT a FROM t", "SELECT t"),
    ("SELECT ?; DELETE FROM t", "DELETE t"),
    ("SELECT a FROM t -- FROM u", "SELECT t"),
])  # fmt: skip
def test_a_statement_needs_exactly_these_rights(text: str, expected: str) -> None:
    assert needs(text) == set(expected.split(", "))


@pytest.mark.parametrize(("text", "expected"), [
    ("SELECT a FROM `Or ders` o JOIN Shop.Items i ON i.id = o.id", "SELECT Or ders, SELECT Shop.Items"),
    ("REPLACE INTO t VALUES(?)", "INSERT t, DELETE t"),
    ("DELETE a FROM a JOIN b ON a.id = b.id", "DELETE a, SELECT a, SELECT b"),
    ("UPDATE a JOIN b ON a.id = b.id SET a.x = b.y", "UPDATE a, SELECT a, SELECT b"),
    ("UPDATE a JOIN(SELECT id, y FROM b) c ON a.id = c.id SET a.x = c.y", "UPDATE a, SELECT a, SELECT b"),
    ('SELECT a FROM t WHERE b = "x"', "SELECT t"),
    ("INSERT IGNORE INTO t SET a = ?", "INSERT t"),
])  # fmt: skip
def test_a_statement_of_mysql_needs_exactly_these_rights(text: str, expected: str) -> None:
    assert needs(text, mysql=True) == set(expected.split(", "))


@pytest.mark.parametrize(("text", "kind"), [
    ("CREATE TABLE t(id INT)", "owner"),
    ("ALTER TABLE t ADD a INT", "owner"),
    ("GRANT a TO b", "rights"),
    ("ALTER ROLE shop SUPERUSER", "rights"),
    ("COPY t TO PROGRAM ?", "program"),
    ("COPY t FROM ?", "file"),
    ("SELECT a INTO OUTFILE ? FROM t", "file"),
    ("SET ROLE admin", "role"),
    ("CREATE TEMPORARY TABLE x(id INT)", "temporary"),
    ("FROBNICATE t", "unknown"),
])  # fmt: skip
def test_what_no_grant_covers_is_a_need_of_its_kind(text: str, kind: str) -> None:
    assert kind in {need.kind for need in derive_needs(text)}


@given(st.text("SELECTFROMWHEREINTOUPDATE \"'`();,.?*=abc-/\n", max_size=300))
def test_no_text_makes_it_fail(text: str) -> None:
    derive_needs(text)
    derive_needs(text, mysql=True)


@pytest.mark.parametrize("text", [
    "(" * 16_000, "SELECT a FROM t " + "FOR UPDATE " * 1_500, "WITH a AS(" * 1_600, "SELECT a FROM " + "t," * 8_000,
    "DELETE FROM t WHERE(" * 400, "UPDATE t SET a = (" * 400, "WITH a AS(DELETE FROM t USING(" * 400,
    "INSERT INTO t(a)(SELECT(" * 400, "a." * 8_000 + "(", "UPDATE t SET " + "a=b," * 4_000, "SELECT " + "f(" * 8_000,
    '"' * 16_384, "'" * 16_383, "/*" * 8_000,
])  # fmt: skip
def test_a_hostile_text_takes_no_second(text: str) -> None:
    began = time.process_time()

    derive_needs(text[:16_384])

    assert time.process_time() - began < 1
