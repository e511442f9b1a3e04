"""A query of the catalogue alone is recognised; one that joins it to other tables, or appends it, is not."""

import numpy as np
import pytest

from backwatch.collector.redaction.sanitize import sanitize
from backwatch.collector.statements.canonical import canonicalize
from backwatch.collector.statements.dialects import dialect_of
from backwatch.collector.statements.signs import signs_mask
from backwatch.detector.statements.structure.catalogue import reads_catalogue_alone
from backwatch.detector.statements.structure.encoding import tokens_of
from backwatch.detector.statements.structure.known import add, role_hash
from backwatch.detector.statements.structure.roles import TABLE, find_roles

ALONE = {
    "postgresql": (
        "SELECT c.oid, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace",
        "SELECT pg_catalog.pg_opclass.oid FROM pg_catalog.pg_opclass WHERE NOT pg_catalog.pg_opclass.opcdefault",
        "SELECT a.attname FROM (SELECT * FROM pg_attribute) AS a LEFT JOIN pg_catalog.pg_type t ON a.atttypid = t.oid",
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
    ),
    "mysql": ("SELECT column_name FROM information_schema.columns WHERE table_name = 'pet' ORDER BY ordinal_position",),
    "sqlite": ("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'pet'",),
}
MORE = {
    "postgresql": (
        "SELECT name FROM pet WHERE id = (SELECT oid FROM pg_catalog.pg_class LIMIT 1)",
        "SELECT name FROM pet, information_schema.tables",
        "SELECT 1 UNION SELECT table_name FROM information_schema.tables",
        "SELECT usename, passwd FROM pg_catalog.pg_shadow",
        "SELECT table_name FROM information_schema.tables; DROP TABLE pet",
        "SELECT table_name FROM information_schema.tables WHERE 'a' = 'a' OR pg_sleep(5) IS NULL",
        "SELECT name FROM tables",
        "SELECT name FROM pet",
    ),
    "mysql": ("SELECT user, authentication_string FROM mysql.user",),
}


def reads_alone(statement: str, system: str, known: str = "") -> bool:
    codes, ids = tokens_of(canonicalize(statement, dialect_of(system)))
    roles = np.zeros(codes.shape[0] + 1, np.uint8)
    find_roles(codes, codes.shape[0], roles)
    signs = signs_mask(sanitize(statement, system)[1])
    names = np.zeros(64, np.uint8)
    if known:
        add(names, role_hash(TABLE, tokens_of(known)[1][-1]))
    return bool(reads_catalogue_alone(codes, ids, roles, codes.shape[0], signs, names))


@pytest.mark.parametrize(("system", "statement"), [(one, text) for one, texts in ALONE.items() for text in texts])
def test_query_of_the_catalogue_alone_is_recognised(system: str, statement: str) -> None:
    assert reads_alone(statement, system)


@pytest.mark.parametrize(("system", "statement"), [(one, text) for one, texts in MORE.items() for text in texts])
def test_query_of_more_than_the_catalogue_is_not(system: str, statement: str) -> None:
    assert not reads_alone(statement, system)


def test_query_of_an_app_table_with_a_common_name_is_not() -> None:
    injected = "SELECT name FROM domains WHERE id = 1 AND EXISTS (SELECT 1 FROM information_schema.columns)"
    assert reads_alone(injected, "postgresql")
    assert not reads_alone(injected, "postgresql", known="DOMAINS")
