"""A family is the verb and the tables of a statement."""

import pytest
from hypothesis import given, settings

from backwatch.collector.statements.canonical import canonicalize
from backwatch.collector.statements.families import MAX_FAMILY, derive_family
from tests.collector.statements.texts import dialects, texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select * from Orders o, users u where o.u = u.id", "SELECT orders,users"),
        ('select a from shop."Orders" join users using (id)', "SELECT shop.orders,users"),
        ("with x as (select 1 from q), y(a) as (select 2) delete from t using x where a = b", "DELETE q,t"),
        ("insert into t (a, b) select a, b from s on conflict do update set a = 1", "INSERT s,t"),
        ("update only s.t set a = (select extract(year from b) from u) where c is distinct from d", "UPDATE s.t,u"),
        ("create table if not exists foo (id int)", "CREATE foo"),
        ("select * from generate_series(1, 2) g, lateral (select 1 from z) q for update", "SELECT z"),
        ("merge into t using s on t.a = s.a when matched then update set x = 1", "MERGE s,t"),
        ("copy t from stdin", "COPY t"),
        ("select 1", "SELECT"),
        ("set names utf8", "SET NAMES"),
        ("", ""),
    ],
)
def test_a_family_names_verb_and_tables(text: str, expected: str) -> None:
    assert derive_family(canonicalize(text, "postgresql")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET session:? ?", "GET session:?"),
        ("POST api.example.com/x/?", "POST api.example.com/x/?"),
        ("SEND x.org", "SEND x.org"),
    ],
)
def test_text_other_than_sql_keeps_its_first_two_words(text: str, expected: str) -> None:
    assert derive_family(text) == expected


def test_many_tables_are_cut_and_say_so() -> None:
    many = canonicalize("SELECT 1 FROM " + ", ".join(f"table_{i}" for i in range(500)), "mysql")
    assert derive_family(many).endswith(",…")
    assert len(derive_family(many)) <= MAX_FAMILY


@settings(deadline=None, max_examples=200)
@given(texts, dialects)
def test_every_text_has_a_bounded_family(text: str, dialect: str) -> None:
    assert len(derive_family(canonicalize(text, dialect))) <= MAX_FAMILY
    assert len(derive_family(text)) <= MAX_FAMILY
