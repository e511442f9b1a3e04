"""Operators that every value meets are a sign where a value belongs, and none where an honest filter has them."""

import pytest

from backwatch.collector.documents.mongo_signs import signs_of_command

ATTACKS = [
    {"find": "users", "filter": {"username": "admin", "password": {"$ne": None}}},
    {"find": "users", "filter": {"username": {"$gt": ""}, "password": {"$gt": ""}}, "limit": 1},
    {"find": "users", "filter": {"email": "a@example.com", "password": {"$regex": "^a"}}},
    {"find": "users", "filter": {"username": {"$nin": []}, "password": {"$exists": True}}},
    {"find": "resets", "filter": {"reset_token": {"$ne": None}}, "limit": 1},
    {"find": "orders", "filter": {"_id": {"$ne": None}}},
    {"find": "accounts", "filter": {"$or": [{"owner": "ann"}, {}]}},
    {"find": "accounts", "filter": {"$or": [{"owner": "ann"}, {"owner": {"$ne": "ann"}}]}},
    {"find": "accounts", "filter": {"owner": "ann", "$expr": True}},
    {"find": "accounts", "filter": {"$where": "this.owner == '' || '1'=='1'"}},
    {"aggregate": "orders", "pipeline": [{"$match": {"$expr": {"$eq": [1, 1]}}}]},
    {"delete": "sessions", "deletes": [{"q": {"session_id": {"$gt": ""}}, "limit": 1}]},
    {"aggregate": "items", "pipeline": [
        {"$lookup": {"from": "users", "as": "x", "pipeline": [{"$match": {"password": {"$regex": "^."}}}]}}]},
    {"find": "users", "filter": {"username": "admin", "password[$ne]": ""}},
]  # fmt: skip
HONEST = [
    {"find": "users", "filter": {"username": "ann", "password": "x"}, "limit": 1},
    {"find": "orders", "filter": {"total": {"$gt": 10, "$lt": 20}, "deleted_at": {"$ne": None}}},
    {"find": "users", "filter": {"reset_password_token": "t", "reset_password_expires": {"$gt": 1}}, "limit": 1},
    {"find": "users", "filter": {"email": {"$exists": True}}},
    {"find": "users", "filter": {"device_token": {"$ne": None}}},
    {"find": "users", "filter": {"name": {"$regex": "^an", "$options": "i"}}},
    {"find": "users", "filter": {"_id": {"$in": [1, 2, 3]}, "status": {"$nin": ["gone"]}}},
    {"find": "posts", "filter": {"$or": [{"author": "ann"}, {"public": True}]}},
    {"find": "users", "filter": {"$where": "this.credits == this.debits"}},
    {"find": "events", "filter": {"_id": {"$gt": {"$oid": "65f0c0ffee00000000000000"}}}, "limit": 100},
    {"aggregate": "orders", "pipeline": [
        {"$match": {"day": {"$gte": 1}}},
        {"$lookup": {"from": "users", "localField": "u", "foreignField": "_id", "as": "u"}},
        {"$group": {"_id": "$u", "n": {"$sum": 1}}}]},
]  # fmt: skip


@pytest.mark.parametrize("command", ATTACKS)
def test_operator_that_every_value_meets_is_a_sign(command: dict[str, object]) -> None:
    assert signs_of_command(command)


@pytest.mark.parametrize("command", HONEST)
def test_honest_operators_show_no_sign(command: dict[str, object]) -> None:
    assert signs_of_command(command) == ()


def test_deep_and_wide_filters_end_in_time() -> None:
    deep: dict[str, object] = {}
    for _ in range(5_000):
        deep = {"$and": [deep, deep]}
    assert signs_of_command({"find": "a", "filter": deep}) == ()
    assert signs_of_command({"find": "a", "filter": {"$or": [{"a": i} for i in range(100_000)]}}) == ()
