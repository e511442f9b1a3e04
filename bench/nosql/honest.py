# ruff: noqa: E501  data, a statement a line
"""Honest statements, as the documentation and tests of drivers and mappers write them. Written from their APIs.

Each source writes in the form in which instrumentations report it: extended JSON, Python's ``repr``, the shell, a
filter alone. Values are generated; shapes are those of the documents.
"""

import json
import random
from collections.abc import Iterator
from typing import Any, Final

Statement = tuple[str, str, str]
"""Source, system, text."""

_OID: Final = {"$oid": "65f0c0ffee0ddba11ca75e77"}
_NOW: Final = {"$date": "2026-03-01T10:00:00Z"}

MONGO: Final[dict[str, list[dict[str, Any]]]] = {
    "mongodb manual": [
        {"find": "inventory", "filter": {"status": {"$in": ["A", "D"]}}},
        {"find": "inventory", "filter": {"status": "A", "qty": {"$lt": 30}}},
        {"find": "inventory", "filter": {"$or": [{"status": "A"}, {"qty": {"$lt": 30}}]}},
        {"find": "inventory", "filter": {"status": "A", "$or": [{"qty": {"$lt": 30}}, {"item": {"$regex": "^p"}}]}},
        {"find": "inventory", "filter": {"size": {"h": 14, "w": 21, "uom": "cm"}}},
        {"find": "inventory", "filter": {"dim_cm": {"$elemMatch": {"$gt": 22, "$lt": 30}}}},
        {"find": "inventory", "filter": {"item": None}},
        {"find": "inventory", "filter": {"item": {"$exists": False}}},
        {"find": "inventory", "filter": {"item": {"$type": 10}}},
        {"find": "products", "filter": {"sku": {"$regex": "789$"}}},
        {"find": "products", "filter": {"sku": {"$regex": "^ABC", "$options": "i"}}},
        {"find": "monthlyBudget", "filter": {"$expr": {"$gt": ["$spent", "$budget"]}}},
        {"find": "players", "filter": {"$where": "function() { return this.credits == this.debits }"}},
        {"find": "players", "filter": {"$where": "this.total > this.limit && this.state == 'open'"}},
        {"find": "places", "filter": {"loc": {"$near": {"$geometry": {"type": "Point", "coordinates": [1, 2]}}}}},
        {"aggregate": "orders", "pipeline": [
            {"$match": {"size": "medium"}}, {"$group": {"_id": "$name", "total": {"$sum": "$quantity"}}}]},
        {"aggregate": "orders", "pipeline": [
            {"$lookup": {"from": "inventory", "localField": "item", "foreignField": "sku", "as": "docs"}}]},
        {"aggregate": "orders", "pipeline": [{"$lookup": {
            "from": "warehouses", "let": {"item": "$item"}, "as": "stock",
            "pipeline": [{"$match": {"$expr": {"$and": [{"$eq": ["$stock_item", "$$item"]}]}}}]}}]},
        {"aggregate": "sales", "pipeline": [
            {"$match": {"date": {"$gte": _NOW, "$lt": _NOW}}}, {"$out": "monthly_sales"}]},
        {"aggregate": "sales2019", "pipeline": [{"$set": {"y": 1}}, {"$unionWith": "sales2020"}, {"$merge": "all"}]},
        {"aggregate": "books", "pipeline": [{"$facet": {"n": [{"$count": "n"}], "top": [{"$limit": 5}]}}]},
        {"aggregate": "users", "pipeline": [{"$project": {"r": {"$function": {
            "body": "function(name) { return name.length > 3 }", "args": ["$name"], "lang": "js"}}}}]},
    ],
    "mongoose": [
        {"find": "users", "filter": {"email": "ann@example.com"}, "limit": 1},
        {"find": "users", "filter": {"email": "ann@example.com", "deletedAt": {"$exists": False}}, "limit": 1},
        {"find": "users", "filter": {"resetPasswordToken": "4f2a", "resetPasswordExpires": {"$gt": _NOW}}, "limit": 1},
        {"find": "users", "filter": {"username": {"$regex": "an", "$options": "i"}}, "limit": 20},
        {"find": "users", "filter": {"_id": {"$ne": _OID}, "email": "ann@example.com"}, "limit": 1},
        {"find": "users", "filter": {"$or": [{"email": "a@example.com"}, {"username": "ann"}]}, "limit": 1},
        {"find": "posts", "filter": {"author": _OID, "publishedAt": {"$ne": None}}},
        {"find": "posts", "filter": {"_id": {"$gt": _OID}}, "limit": 20},
        {"find": "posts", "filter": {"title": {"$regex": "", "$options": "i"}}, "limit": 20},
        {"find": "sessions", "filter": {"_id": "s3ss10n", "expires": {"$gt": _NOW}}, "limit": 1},
        {"update": "users", "updates": [{"q": {"_id": _OID}, "u": {"$set": {"name": "Ann"}}}]},
        {"update": "users", "updates": [{"q": {"_id": _OID, "__v": 3}, "u": {"$push": {"tags": "x"}, "$inc": {"__v": 1}}}]},
        {"update": "carts", "updates": [{"q": {"user": _OID, "items.sku": "a"}, "u": {"$inc": {"items.$.n": 1}}}]},
        {"findAndModify": "counters", "query": {"_id": "orders"}, "update": {"$inc": {"n": 1}}},
        {"findAndModify": "jobs", "query": {"state": "waiting", "runAt": {"$lte": _NOW}}, "update": {"$set": {"s": 1}}},
        {"delete": "tokens", "deletes": [{"q": {"expiresAt": {"$lt": _NOW}}, "limit": 0}]},
        {"delete": "tokens", "deletes": [{"q": {"userId": _OID, "token": "abc"}, "limit": 1}]},
        {"count": "users", "query": {"lastLoginAt": {"$gte": _NOW}}},
        {"count": "users", "query": {"emailVerified": {"$ne": True}}},
        {"distinct": "products", "key": "brand", "query": {"stock": {"$gt": 0}}},
    ],
    "pymongo, motor": [
        {"find": "messages", "filter": {"to": "ann", "read": False}, "sort": {"at": -1}},
        {"find": "events", "filter": {"ts": {"$gte": _NOW, "$lt": _NOW}, "kind": {"$nin": ["ping", "pong"]}}},
        {"find": "devices", "filter": {"push_token": {"$ne": None}, "active": True}},
        {"find": "files.chunks", "filter": {"files_id": _OID, "n": {"$gte": 0}}, "sort": {"n": 1}},
        {"find": "tasks", "filter": {"locked_until": {"$lt": _NOW}, "attempts": {"$lt": 5}}, "limit": 1},
        {"find": "users", "filter": {"age": {"$gt": 18, "$lte": 65}, "city": {"$in": ["Bern", "Basel"]}}},
        {"find": "invoices", "filter": {"paid_at": None, "due": {"$lt": _NOW}}},
        {"find": "things", "filter": {"parent_id": {"$exists": False}}},
        {"find": "things", "filter": {"owner_id": {"$ne": None}, "public": True}},
        {"find": "accounts", "filter": {"email": {"$exists": True, "$ne": ""}}},
        {"find": "logs", "filter": {"message": {"$regex": "timeout.*pool"}}},
        {"find": "products", "filter": {"price": {"$gt": 0}, "name": {"$not": {"$regex": "^test"}}}},
        {"find": "articles", "filter": {"$text": {"$search": "coffee -shop"}}},
        {"insert": "users", "documents": [{"username": "ann", "password": "$2b$12$abc"}]},
        {"insert": "audit", "documents": [{"q": {"$ne": None}, "op": "{$gt: ''}"}]},
    ],
    "beanie, mongoengine": [
        {"find": "Product", "filter": {"price": {"$lt": 10}, "category.name": "Chocolate"}},
        {"find": "user", "filter": {"_cls": "User.Admin", "name": {"$regex": "^A"}}},
        {"find": "user", "filter": {"$and": [{"$or": [{"country": "uk"}, {"age": {"$gte": 18}}]}, {"age": {"$ne": 30}}]}},
        {"find": "page", "filter": {"tags": {"$all": ["a", "b"]}, "date": {"$lte": _NOW}}},
        {"find": "user", "filter": {"name": {"$ne": "ann"}, "_id": {"$nin": [1, 2]}}},
        {"find": "comment", "filter": {"author.$id": _OID}},
        {"find": "user", "filter": {"username": "ann", "is_active": True}, "limit": 1},
        {"find": "token", "filter": {"token": "f3a9", "revoked": {"$ne": True}}, "limit": 1},
        {"find": "api_keys", "filter": {"key": "f3a9", "expires_at": {"$gt": _NOW}}, "limit": 1},
        {"find": "coupons", "filter": {"code": "SPRING", "used": {"$lt": 100}}, "limit": 1},
        {"find": "responses", "filter": {"status_code": {"$gte": 500}}},
    ],
}  # fmt: skip
SEARCH: Final[dict[str, list[Any]]] = {
    "elasticsearch-dsl": [
        {"query": {"bool": {"must": [{"match": {"title": "python"}}], "must_not": [{"match": {"d": "beta"}}]}}},
        {"query": {"bool": {"filter": [{"terms": {"category": ["search", "python"]}}]}}},
        {"query": {"multi_match": {"query": "red shoes", "fields": ["title^3", "body"]}}, "from": 0, "size": 10},
        {"query": {"match_all": {}}, "sort": [{"date": "desc"}]},
        {"query": {"range": {"date": {"gte": "now-1d/d", "lt": "now/d"}}}},
        {"query": {"bool": {"should": [{"match": {"a": "x"}}, {"match": {"b": "x"}}], "minimum_should_match": 1}}},
        {"aggs": {"per_tag": {"terms": {"field": "tags"}, "aggs": {"n": {"max": {"field": "lines"}}}}}, "size": 0},
        {"query": {"query_string": {"query": "status:open AND priority:high"}}},
        {"query": {"query_string": {"query": "*"}}},
        {"query": {"query_string": {"query": "(new york city) OR (big apple)", "default_field": "content"}}},
        {"query": {"simple_query_string": {"query": "\"fried eggs\" +(eggplant | potato) -frittata"}}},
        {"query": {"wildcard": {"user.name": {"value": "ki*y"}}}},
        {"query": {"prefix": {"title.keyword": "inv"}}},
        {"query": {"exists": {"field": "deleted_at"}}},
        {"query": {"term": {"user.id": {"value": "kimchy", "boost": 1.0}}}},
        {"query": {"function_score": {"query": {"match_all": {}}, "script_score": {
            "script": {"source": "Math.log(2 + doc['likes'].value)"}}}}},
        {"script": {"source": "ctx._source.counter += params.n", "lang": "painless", "params": {"n": 4}}},
        {"script": {"source": "if (ctx._source.tags.contains(params.t)) { ctx.op = 'delete' } else { ctx.op = 'none' }",
                    "params": {"t": "green"}}},
        {"query": {"script": {"script": "doc['amount'].value < 10"}}},
        {"query": {"nested": {"path": "obj", "query": {"bool": {"must": [{"range": {"obj.count": {"gt": 5}}}]}}}}},
        {"query": {"ids": {"values": ["1", "4"]}}, "_source": ["title"]},
        {"query": {"fuzzy": {"user.name": {"value": "ki"}}}},
        {"knn": {"field": "vec", "query_vector": [1, 2], "k": 10, "num_candidates": 100}},
    ],
}  # fmt: skip
TEXTS: Final[list[Statement]] = [
    *(("ldap documentation", "ldap", text) for text in (
        "(objectClass=*)", "(uid=ann)", "(&(objectClass=person)(uid=ann))", "(|(cn=ann*)(mail=ann*))",
        "(&(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))", "(&(objectClass=group)(member=cn=a,dc=x))",
        "(&(objectCategory=person)(objectClass=user)(sAMAccountName=ann))", "(mail=*)", "(memberUid=ann)",
        "(&(uid=*)(objectClass=inetOrgPerson))", "(&(|(uid=ann)(mail=ann@example.com))(objectClass=person))",
        "(createTimestamp>=20260101000000Z)", "(&(objectClass=posixAccount)(|(gidNumber=100)(gidNumber=200)))",
    )),
    *(("redis documentation", "redis", text) for text in (
        "GET user:1", "SET session:8f2c {\"a\": 1} EX 60", "HSET user:1 name ann", "LPUSH queue {\"id\":1}", "INCR hits",
        "SCAN 0 MATCH user:* COUNT 100", "KEYS user:*", "ZADD board 10 ann", "EVAL \"return redis.call('GET', KEYS[1])\" 1 a",
        "EVALSHA 8f2c 1 a 2", "PUBLISH news hello", "XADD log * a 1", "DEL a b c", "MGET a b c", "EXPIRE a 60",
        "EVAL \"local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end return n\" 1 a 5",
    )),
    *(("neo4j documentation", "neo4j", text) for text in (
        "MATCH (n) RETURN n LIMIT 25", "MATCH (p:Person {name: $name}) RETURN p", "CALL db.labels()",
        "MATCH (a:Person)-[:KNOWS]->(b) WHERE a.age > 30 OR b.age > 30 RETURN a, b", "CREATE (p:Person {name: 'Ann'})",
        "MERGE (p:Person {id: 7}) ON CREATE SET p.created = timestamp() RETURN p", "UNWIND $rows AS row CREATE (n) SET n = row",
        "LOAD CSV WITH HEADERS FROM 'file:///people.csv' AS row MERGE (:Person {id: row.id})", "SHOW DATABASES",
        "CALL apoc.periodic.iterate('MATCH (n) RETURN n', 'SET n.a = 1', {batchSize: 100})",
        "MATCH (n:Person) WHERE n.name CONTAINS 'nn' OR n.name STARTS WITH 'A' RETURN count(*)",
        "MATCH (a:Actor) RETURN a.name AS name UNION MATCH (m:Movie) RETURN m.title AS name",
        "MATCH (u:User)\n// only active ones\nWHERE u.active = true\nRETURN u",
        "CALL db.index.fulltext.queryNodes('names', 'ann') YIELD node RETURN node",
    )),
    *(("couchbase documentation", "couchbase", text) for text in (
        "SELECT META().id, t.* FROM `travel-sample` t WHERE t.type = \"airline\" AND t.country = 'France' LIMIT 10",
        "UPSERT INTO `b` (KEY, VALUE) VALUES ('k1', {\"type\": \"hotel\"})",
        "SELECT COUNT(*) FROM hotels WHERE ANY r IN reviews SATISFIES r.ratings.Overall > 4 END",
    )),
    *(("cosmosdb documentation", "cosmosdb", text) for text in (
        "SELECT * FROM c WHERE c.id = @id", "SELECT VALUE COUNT(1) FROM c", "SELECT c.name FROM c JOIN t IN c.tags WHERE t = \"a\"",
        "SELECT * FROM c WHERE CONTAINS(c.name, 'an', true) ORDER BY c._ts DESC OFFSET 0 LIMIT 10",
    )),
]  # fmt: skip


def statements(seed: int = 7) -> Iterator[Statement]:
    """Yield all statements, those of MongoDB in four forms."""
    rng = random.Random(seed)
    for source, commands in MONGO.items():
        for command in commands:
            yield source, "mongodb", json.dumps(command)
            yield source, "mongodb", json.dumps(_hidden(command))
            name = next(iter(command))
            key = {"find": "filter", "update": "updates", "delete": "deletes", "insert": "documents"}.get(name)
            if key is not None:
                yield source, "mongodb", f"{name} {_vary(command[key], rng)!r}"
            if name == "find":
                yield source, "mongodb", f"db.{command['find']}.find({json.dumps(command['filter'])})"
    for source, bodies in SEARCH.items():
        for body in bodies:
            yield source, "elasticsearch", json.dumps(body)
            yield source, "elasticsearch", repr(body)
    yield from TEXTS


def _hidden(value: Any, depth: int = 0) -> Any:
    """Return a command whose values an instrumentation has removed."""
    if isinstance(value, dict):
        return {key: inner if depth == 0 and number == 0 else _hidden(inner, depth + 1)
                for number, (key, inner) in enumerate(value.items())}  # fmt: skip
    if isinstance(value, list):
        return [_hidden(inner, depth + 1) for inner in value]
    return "?"


def _vary(value: Any, rng: random.Random) -> Any:
    """Return a document with other values of the same kind."""
    if isinstance(value, dict):
        return {key: _vary(inner, rng) for key, inner in value.items()}
    if isinstance(value, list):
        return [_vary(inner, rng) for inner in value]
    if isinstance(value, bool) or value is None:
        return value
    return value + rng.randrange(9) if isinstance(value, int) else value
