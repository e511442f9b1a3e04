"""Statements of third-party spans that are no SQL are redacted by the rules of their system, and judged."""

import pytest

from backwatch.collector.documents.foreign import redact_foreign
from backwatch.collector.documents.parsing import MAX_DEPTH, parse_document

SECRET = "hunter2hunter2"

STATEMENTS = [
    ("mongodb", "find {'user': 'hunter2hunter2', 'age': {'$gt': 30}}", "find users filter:{user:?,age:{$gt:?}}", ""),
    ("mongodb", '{"find": "users", "filter": {"password": {"$ne": "?"}}}', "find users filter:{password:{$ne:?}}",
     "operator-for-value"),
    ("mongodb", 'db.users.findOne({user: "hunter2hunter2", _id: ObjectId("65f0")})',
     "find users filter:{user:?,_id:?} limit:?", ""),
    ("mongodb", '{"condition":{"email":"hunter2hunter2","password":{"$gt":""}},"options":{}}',
     "find users filter:{email:?,password:{$gt:?}}", "operator-for-value"),
    ("mongodb", '[{"$match":{"a":"hunter2hunter2"}},{"$out":"b"}]',
     "aggregate users pipeline:[{$match:{a:?}},{$out:?}]", ""),
    ("elasticsearch", '{"query": {"query_string": {"query": "hunter2hunter2) OR (*:*"}}}',
     "find users {query:{query_string:{query:(? ) OR ( *:*)}}}", "tautology,unbalanced-quote"),
    ("redis", "SET user:1 hunter2hunter2", "SET user:? ?", ""),
    ("redis", "GET a\r\nCONFIG SET dir /var/www", None, "stacked"),
    ("ldap", "(&(uid=hunter2hunter2)(mail=*))", "find (&(uid=?)(mail=*))", ""),
    ("ldap", "(&(uid=*)(|(uid=*)(userPassword=hunter2hunter2)))", None, "operator-for-value"),
    ("neo4j", "MATCH (u:User {name: 'hunter2hunter2'}) RETURN u", "MATCH(u : User { name : ? }) RETURN u", ""),
    ("neo4j", "MATCH (u) WHERE u.name = 'x' OR 1=1 RETURN u // hunter2hunter2", None, "tautology"),
]  # fmt: skip


@pytest.mark.parametrize(("system", "text", "statement", "signs"), STATEMENTS)
def test_statement_is_redacted_and_judged(system: str, text: str, statement: str | None, signs: str) -> None:
    found = redact_foreign(system, text, "find", "users")
    assert found is not None
    assert SECRET not in "".join(found)
    assert found[1] == signs
    if statement is not None:
        assert found[0].removesuffix(f" !{signs}") == statement


def test_unknown_systems_are_left_to_others() -> None:
    assert redact_foreign("influxdb", "from(bucket: 1)", "", "") is None


@pytest.mark.parametrize(
    "text", ["{" * 50_000, "[" * 50_000, '{"a":' * 20_000, "'" * 50_000, "a(" * 20_000, "\\" * 50_000]
)
def test_hostile_texts_are_read_in_bounded_time(text: str) -> None:
    for system in ("mongodb", "elasticsearch", "ldap", "neo4j", "redis"):
        assert redact_foreign(system, text, "find", "a") is not None


def test_nested_documents_are_read_to_a_bounded_depth() -> None:
    depth = 10 * MAX_DEPTH
    assert parse_document('{"a":' * depth + "1" + "}" * depth).broken


@pytest.mark.parametrize("cut", range(1, 60))
def test_cut_commands_leak_nothing(cut: int) -> None:
    text = "find {'user': 'hunter2hunter2', 'password': {'$ne': 'hunter2hunter2'}}"[:cut]
    found = redact_foreign("mongodb", text, "find", "users")
    assert found is not None
    assert "hunt" not in found[0]
