"""Typical calls of an app that uses pymongo, sync and asyncio, over verified TLS and with a replica set."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pymongo
from bson import ObjectId
from bson.errors import InvalidDocument
from pymongo.errors import PyMongoError

SERVICES = ("mongodb", "mongo_set")
ASYNCHRONOUS: Any = getattr(pymongo, "AsyncMongoClient", None)
"""Since pymongo 4.9."""
QUICK: dict[str, Any] = {"serverSelectionTimeoutMS": 300, "connectTimeoutMS": 5_000, "retryReads": False}
WRITES: tuple[Any, ...] = (
    pymongo.InsertOne({"_id": 1_000}),
    pymongo.UpdateOne({"_id": 1}, {"$set": {"paid": True}}),
    pymongo.DeleteOne({"_id": 1_000}),
)


class Unknown:
    """An object that BSON cannot hold."""

    def __repr__(self) -> str:
        return "unknown"


def calls(services: dict[str, Any]) -> list[object]:
    mongodb, members = services["mongodb"], services["mongo_set"]
    seen = [*_in_turn(mongodb.tls_url), *_of_a_set(members.url), *_of_a_set(members.tls_url)]
    if ASYNCHRONOUS is not None:
        seen += asyncio.run(_asynchronously(mongodb.tls_url))
        seen += asyncio.run(_asynchronously_of_a_set(members.url))
    return seen


def _in_turn(url: str) -> list[object]:
    seen: list[object] = []
    with pymongo.MongoClient(url) as client:
        orders = client["shop"][f"orders{ObjectId()}"]
        seen.append(bool(client.server_info()))
        seen.append(len(orders.insert_many([{"_id": number, "total": number} for number in range(250)]).inserted_ids))
        seen.append(len(list(orders.find({"total": {"$gte": 10}}, batch_size=100))))
        seen.append(orders.find_one({"_id": 1}))
        seen.append(orders.update_many({"total": {"$lt": 5}}, {"$set": {"paid": True}}).modified_count)
        seen.append(orders.bulk_write(list(WRITES)).bulk_api_result)
        seen.append(list(orders.aggregate([{"$match": {"_id": 3}}, {"$group": {"_id": "$total", "n": {"$sum": 1}}}])))
        seen.append(orders.distinct("total", {"_id": {"$lt": 3}}))
        seen.append(orders.find_one_and_update({"_id": 3}, {"$set": {"paid": False}}))
        try:
            orders.insert_one({"_id": 1})
        except PyMongoError as error:
            seen.append(re.sub(r"orders\w+", "orders", str(error)))
        cursor = orders.find({}, batch_size=2)
        seen.append(next(cursor))
        cursor.close()
        seen.append(orders.delete_many({}).deleted_count)
        orders.drop()
    return seen


def _of_a_set(url: str) -> list[object]:
    with pymongo.MongoClient(url, compressors="zlib") as client:
        shop = client["shop"]
        return [
            len(list(shop["users"].find({"name": "ann"}, limit=20))),
            shop["users"].find_one({"$where": "sleep(5000)"}) is not None,
        ]


async def _asynchronously(url: str) -> list[object]:
    seen: list[object] = []
    async with ASYNCHRONOUS(url) as client:
        orders = client["shop"][f"orders{ObjectId()}"]
        await orders.insert_many([{"_id": number} for number in range(150)])
        seen.append(await orders.find({"_id": {"$gte": 1}}, batch_size=60).to_list(1_000))
        seen.append((await orders.bulk_write(list(WRITES))).bulk_api_result)
        seen.append(await asyncio.gather(*(orders.find_one({"_id": number}) for number in range(4))))
        try:
            await orders.insert_one({"_id": 1})
        except PyMongoError as error:
            seen.append(re.sub(r"orders\w+", "orders", str(error)))
        await orders.drop()
    return seen


async def _asynchronously_of_a_set(url: str) -> list[object]:
    async with ASYNCHRONOUS(url, compressors="zlib") as client:
        return [await client["shop"]["users"].find({}, limit=20).to_list(100)]


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    mongodb, members = services["mongodb"], services["mongo_set"]

    def ping(*address: Any, **options: Any) -> object:
        with pymongo.MongoClient(*address, **{**QUICK, **options}) as client:
            return _result_of(lambda: client["shop"]["orders"].find_one({"_id": 1}))

    def command(**document: Any) -> object:
        with pymongo.MongoClient(mongodb.url) as client:
            return client["shop"].command(document)

    async def asynchronously(*address: Any, **options: Any) -> object:
        async with ASYNCHRONOUS(*address, **{**QUICK, **options}) as client:
            return await client["shop"].command("ping")

    failing: list[Callable[[], object]] = [
        lambda: ping(mongodb.host, 1),
        lambda: ping(mongodb.host, mongodb.tls_port, tls=True),
        lambda: ping(mongodb.host, members.port, username="app", password="wrong"),
        lambda: ping(mongodb.host, members.port, username="app", password="wrong", authMechanism="PLAIN"),
        lambda: command(nosuchcommand=1),
        lambda: command(aggregate="orders", pipeline=[{"$nosuchstage": 1}], cursor={}),
        lambda: command(find="orders", filter=5),
        lambda: _result_of(lambda: command(find="orders", filter=Unknown())),
    ]
    if ASYNCHRONOUS is not None:
        wrong = {"username": "app", "password": "wrong"}
        failing.append(lambda: _result_of(lambda: asyncio.run(asynchronously(mongodb.host, 1))))
        failing.append(lambda: asyncio.run(asynchronously(mongodb.host, members.port, directConnection=True, **wrong)))
    return failing


def _result_of(call: Callable[[], object]) -> object:
    """Return the driver's error without varying parts: identities, durations."""
    try:
        return call()
    except InvalidDocument as error:
        raise InvalidDocument(type(error).__name__) from None  # some versions show the whole document
    except PyMongoError as error:
        text = re.sub(r"id: \w+|Timeout: [\d.]+s|at 0x\w+|0x\w+|object|[\d.]+(?:ms|s)\b", "", str(error))
        raise type(error)(text.partition(", Topology")[0]) from None
