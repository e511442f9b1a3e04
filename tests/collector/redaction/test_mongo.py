"""Redaction of MongoDB's commands."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from bson import SON, Binary, Code, Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.dbref import DBRef
from bson.max_key import MaxKey
from bson.raw_bson import RawBSONDocument
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.redaction import mongo
from tests.services.cpu_time import least_cpu_s

SECRET = "CANARY"
values = st.sampled_from([
    SECRET, SECRET.encode(), Binary(SECRET.encode()), Code(SECRET), Regex(SECRET), f"${SECRET}", f"{SECRET}.a",
    8_675_309, 86.75309, Int64(8_675_309), Decimal128("8675309"), True, None, ObjectId(), MaxKey(),
    Timestamp(8_675_309, 1),
    dt.datetime(2026, 8, 6, 7, 5, 30, 9, tzinfo=dt.UTC), DBRef(SECRET, SECRET), object(),
    RawBSONDocument(b"\x05\x00\x00\x00\x00"), frozenset((SECRET,)),
])  # fmt: skip
keys = st.one_of(
    st.sampled_from(["name", "$where", "$gt", "$or", "a.0.b", "q", "u", "update", "document", "$set", "$function"]),
    st.integers(),
    st.binary(max_size=4),
    st.just(f"{SECRET}@example.com"),
    st.just("u" + "8675309"),
)
documents = st.recursive(
    values,
    lambda inner: st.one_of(
        st.dictionaries(keys, inner, max_size=4), st.lists(inner, max_size=4), st.dictionaries(keys, inner).map(SON)
    ),
    max_leaves=12,
)

commands = st.tuples(
    st.sampled_from([*sorted(mongo.COMMANDS), SECRET, 7]),
    documents,
    st.dictionaries(
        st.sampled_from([
            "filter", "pipeline", "updates", "deletes", "ops", "documents", "query", "u", "map", "reduce", "comment",
            "collection", "payload", "pwd", "lsid",
        ]),
        documents,
    ),
).map(lambda parts: {parts[0]: parts[1], **parts[2]})  # fmt: skip


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ({"find": "users", "filter": {"$where": "sleep(1)"}}, "find users filter:{$where:?}"),
        ({"find": "users", "filter": {"a": {"$in": [1, 2, 3]}}}, "find users filter:{a:{$in:[?]}}"),
        ({"find": "users", "filter": {"a": {"$in": []}}}, "find users filter:{a:{$in:[?]}}"),
        ({"find": "users", "filter": {"$or": [{"a": 1}, {"b": 1}]}}, "find users filter:{$or:[{a:?},{b:?}]}"),
        ({"find": "users", "filter": {"items.0.id": 1}}, "find users filter:{items.?.id:?}"),
        ({"find": "users", "filter": {"ann@example.com": 1}}, "find users filter:{?:?}"),
        ({"find": "users", "filter": {"password": {"$ne": None}}}, "find users filter:{password:{$ne:?}}"),
        (
            {"aggregate": "o", "pipeline": [{"$match": {"a": 1}}, {"$project": {"x": {"$function": {"body": "f()"}}}}]},
            "aggregate o pipeline:[{$match:{a:?}},{$project:{x:{$function:{body:?}}}}]",
        ),
        ({"aggregate": 1, "pipeline": [{"$currentOp": {}}], "cursor": {}}, "aggregate pipeline:[{$currentOp:{}}]"),
        ({"mapReduce": "o", "map": "f()", "reduce": Code("g()"), "out": "z"}, "mapReduce o map:? reduce:? out:?"),
        ({"insert": "o", "documents": [{"a": 1}], "ordered": True}, "insert o documents:?"),
        ({"update": "o", "updates": [{"q": {}, "u": {"a": 1}}]}, "update o updates:[{q:{},u:?}]"),
        (
            {"update": "o", "updates": [{"q": {"_id": n}, "u": {"$set": {"a": {"b": 1}}}} for n in range(50)]},
            "update o updates:[{q:{_id:?},u:{$set:{a:?}}}]",
        ),
        (
            {"findAndModify": "o", "query": {"a": 1}, "update": [{"$set": {"b": {"$concat": ["$a", "x"]}}}]},
            "findAndModify o query:{a:?} update:[{$set:{b:{$concat:[?]}}}]",
        ),
        ({"getMore": 123, "collection": "o", "batchSize": 5}, "getMore o"),
        ({"explain": {"find": "o", "filter": {"a": 1}}}, "explain find o filter:{a:?}"),
        ({"explain": {"explain": {"explain": {}}}}, "explain explain ?"),
        ({"createUser": "ann", "pwd": "secret", "roles": []}, "createUser ?"),
        ({"dropUser": "ann"}, "dropUser ?"),
        ({"saslStart": 1, "mechanism": "PLAIN", "payload": b"x"}, "saslStart ?"),
        ({"dropDatabase": 1, "lsid": {"id": 1}}, "dropDatabase"),
        ({"find": "orders; drop"}, "find ?"),
        ({"find": "tenant_1234567890"}, "find ?"),
        ({"nosuchcommand": "x", "y": 1}, "?"),
        ({}, "?"),
        (None, "?"),
        ([("find", "users")], "?"),
    ],
)
def test_a_command_keeps_its_collection_and_its_shape(command: object, expected: str) -> None:
    assert mongo.to_statement(command) == expected


@given(commands)
def test_no_value_of_a_command_is_left(command: dict[Any, Any]) -> None:
    redacted = mongo.to_statement(command)
    target = next(iter(command.values()))
    if target == SECRET or command.get("collection") == SECRET:
        return  # a collection's name is kept
    assert SECRET not in redacted
    assert "8675309" not in redacted
    assert len(redacted) <= mongo.MAX_STATEMENT


@given(documents)
def test_nothing_makes_it_raise(command: object) -> None:
    assert len(mongo.to_statement(command)) <= mongo.MAX_STATEMENT
    assert mongo.to_statement({"find": "users", "filter": command}).startswith("find users filter:")


def nest(depth: int) -> dict[str, Any]:
    document: dict[str, Any] = {"a": 1}
    for _ in range(depth):
        document = {"$and": [document]}
    return document


@pytest.mark.parametrize(
    "make_command",
    [
        lambda: {"find": "o", "filter": nest(500)},
        lambda: {"find": "o", "filter": {f"k{chr(97 + n % 26)}{n}": n for n in range(100_000)}},
        lambda: {"find": "o", "filter": {"a": {"$in": [{"b": n} for n in range(100_000)]}}},
        lambda: {"find": "o", "filter": {"a": {"$in": list(range(1_000_000))}}},
        lambda: {"find": "o", "filter": {"k" * 1_000_000: "v" * 1_000_000}},
        lambda: {"find": "o", "filter": {".".join(["a"] * 20_000): 1}},
        lambda: {"insert": "o", "documents": [{"a": 1}] * 100_000},
        lambda: {"update": "o", "updates": [{"q": {"a": n}, "u": {"$set": {"b": n}}} for n in range(100_000)]},
        lambda: {"update": "o", "updates": [{"q": nest(200), "u": {"$set": {"b": n}}} for n in range(5_000)]},
    ],
    ids=["deep", "wide", "long list", "long list of values", "long key", "long path", "insert", "batch", "deep batch"],
)
def test_a_huge_command_is_bounded_in_length_and_time(make_command: Callable[[], dict[str, Any]]) -> None:
    command = make_command()  # here: such a heap slows every collection of garbage of the run
    assert len(mongo.to_statement(command)) <= mongo.MAX_STATEMENT
    assert least_cpu_s(lambda: mongo.to_statement(command)) < 0.2


def test_custom_dictionary_methods_are_not_called() -> None:
    class Strange(dict[str, object]):
        def items(self) -> Any:
            raise AssertionError

        def __iter__(self) -> Any:
            raise AssertionError

        def __getitem__(self, key: str) -> object:
            raise AssertionError

    assert mongo.to_statement(Strange(find="o", filter=Strange(a=Strange(b=1)))) == "find o filter:{a:{b:?}}"


def test_memory_of_keys_is_bounded() -> None:
    for number in range(3 * mongo.MAX_REMEMBERED):
        letters = "".join(chr(97 + int(digit)) for digit in str(number))
        mongo.to_statement({"find": "o", "filter": {letters: 1}})
    assert len(mongo._keys) <= mongo.MAX_REMEMBERED
