"""pymongo with a replica set: logins, topology and its changes, compression, asyncio.

``tests/services/databases/mongo_set.py`` implements the set: FerretDB has neither members nor SCRAM.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pymongo
import pytest
from pymongo.errors import OperationFailure, PyMongoError

from backwatch.collector import names
from backwatch.collector.probes.pymongo import PyMongoProbe
from tests.collector.probes.recording import RecordedCall, Recording, watching
from tests.services.databases import mongo_set as played
from tests.services.server import HOST, Server
from tests.services.waiting import wait_until

PROBES = (PyMongoProbe,)
ASYNCHRONOUS: Any = getattr(pymongo, "AsyncMongoClient", None)
with_asyncio = pytest.mark.skipif(ASYNCHRONOUS is None, reason="since pymongo 4.9")
QUICK: dict[str, Any] = {"serverSelectionTimeoutMS": 10_000, "retryReads": False, "directConnection": True}


@pytest.fixture
def members() -> Iterator[tuple[played.Member, played.Member]]:
    with played.members("secret") as two:
        yield two


@pytest.mark.parametrize(
    ("mechanism", "method"),
    [
        ("SCRAM-SHA-256", "scram-sha-256"),
        ("SCRAM-SHA-1", "scram-sha-1"),
        ("PLAIN", "clear-password"),
        ("", "scram-sha-256"),
    ],
)
def test_a_login_reports_its_account_and_mechanism(
    recording: Recording, mongo_set: Server, mechanism: str, method: str
) -> None:
    options: dict[str, Any] = {"authMechanism": mechanism} if mechanism else {}
    with pymongo.MongoClient(
        HOST, mongo_set.port, username="app", password=mongo_set.password, directConnection=True, **options
    ) as client:
        client["shop"]["users"].find_one({})
    (find,) = recording.of("find")
    assert (find.session.account, find.session.auth_method) == ("app", method)
    assert mongo_set.password not in repr(recording.calls)
    assert {call.operation for call in recording.calls} == {"connect", "find", "endSessions"}


def test_a_login_by_certificate_is_reported(recording: Recording, mongo_set: Server) -> None:
    with pymongo.MongoClient(
        HOST, mongo_set.tls_port, tls=True, tlsCAFile=mongo_set.ca_file, authMechanism="MONGODB-X509",
        username="CN=app", directConnection=True,
    ) as client:  # fmt: skip
        client["shop"]["users"].find_one({})
    (find,) = recording.of("find")
    assert (find.session.account, find.session.auth_method, find.session.encrypted) == ("CN=app", "x509", True)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"])
def test_a_failed_login_is_a_call_with_its_account_and_session(
    recording: Recording, mongo_set: Server, mechanism: str
) -> None:
    with (
        pymongo.MongoClient(
            HOST, mongo_set.tls_port, tls=True, tlsCAFile=mongo_set.ca_file, username="app", password="wrong",
            authMechanism=mechanism, **QUICK,
        ) as client,
        pytest.raises(OperationFailure),
    ):  # fmt: skip
        client["shop"]["users"].find_one({})
    call = next(each for each in recording.of("connect") if each.error is not None)
    assert (type(call.error).__name__, call.facts[names.STATUS_CODE]) == ("OperationFailure", "18")
    assert (call.session.account, call.session.encrypted, call.session.verified) == ("app", True, "full")
    assert "wrong" not in repr(recording.calls)


def test_members_of_a_set_and_their_primary_are_reported(recording: Recording, mongo_set: Server) -> None:
    with pymongo.MongoClient(mongo_set.url) as client:
        client["shop"]["users"].find_one({})
    secondary = next(call for call in recording.of("connect") if call.session.port != mongo_set.port)
    hosts = sorted((f"{HOST}:{secondary.session.port}", f"{HOST}:{mongo_set.port}"))
    assert secondary.facts[names.TOPOLOGY] == ",".join(hosts)
    assert secondary.facts[names.REDIRECT_TARGET] == f"{HOST}:{mongo_set.port}"
    primary = next(call for call in recording.of("connect") if call.session.port == mongo_set.port)
    assert primary.facts == {names.TOPOLOGY: ",".join(hosts)}
    assert len(recording.of("find")[0].session.server_id) == 24


def test_only_a_changed_announcement_is_a_call(
    recording: Recording, members: tuple[played.Member, played.Member]
) -> None:
    primary, secondary = members
    with pymongo.MongoClient(HOST, primary.port, replicaSet="rs0", heartbeatFrequencyMS=500) as client:
        client["shop"]["users"].find_one({})
        wait_until(lambda: secondary.heartbeats > 4)
        assert recording.of("hello") == []
        evil = "10.6.6.6:27017"
        primary.announce(hosts=[f"{HOST}:{primary.port}", evil])
        call: RecordedCall = wait_until(lambda: recording.of("hello"))[0]
    assert call.facts[names.TOPOLOGY] == ",".join(sorted((evil, f"{HOST}:{primary.port}")))
    assert call.session.port == primary.port


def test_a_heartbeat_that_fails_is_a_call(recording: Recording) -> None:
    with (
        played.members("secret") as (primary, _),
        pymongo.MongoClient(HOST, primary.port, heartbeatFrequencyMS=500, **QUICK) as client,
    ):
        client["shop"]["users"].find_one({})
        primary.do_not_answer()
        primary.announce()
        wait_until(lambda: [call for call in recording.calls if call.error is not None])
    assert {call.operation for call in recording.calls if call.error is not None} <= {"hello", "connect"}


def test_hostile_announcements_are_bounded_and_printable(
    recording: Recording, members: tuple[played.Member, played.Member]
) -> None:
    primary, _ = members
    primary.announce(
        hosts=["\x1b[2J,evil\n:1", *(f"{'x' * 250}{number}:1" for number in range(20))], primary="\0" * 999
    )
    with (
        pymongo.MongoClient(HOST, primary.port, replicaSet="rs0", serverSelectionTimeoutMS=3_000) as client,
        contextlib.suppress(PyMongoError),
    ):
        client["shop"]["users"].find_one({})
    call = next(each for each in recording.of("connect") if names.TOPOLOGY in each.facts)
    assert len(str(call.facts[names.TOPOLOGY])) < 4_200
    assert str(call.facts[names.TOPOLOGY]).isprintable()


def test_a_compressed_reply_reports_both_its_sizes(recording: Recording, mongo_set: Server) -> None:
    with pymongo.MongoClient(mongo_set.url, compressors="zlib") as client:
        client["shop"]["users"].find_one({})
        list(client["shop"]["users"].find({}, limit=50))
    short, fifty = recording.of("find")
    assert fifty.facts[names.PAYLOAD_SIZE] > 10_000 > 1_000 > fifty.facts[names.PAYLOAD_WIRE]  # type: ignore[operator]
    assert short.facts[names.PAYLOAD_SIZE] < 1_000  # type: ignore[operator]
    assert fifty.received < 1_500


def test_unacknowledged_writes_are_calls(recording: Recording, mongo_set: Server) -> None:
    with pymongo.MongoClient(mongo_set.url, w=0) as client:
        users = client["shop"]["users"]
        users.insert_one({"_id": 1})
        users.bulk_write([pymongo.InsertOne({"_id": 2})], ordered=False)
    assert [(call.error, call.rows_affected) for call in recording.of("insert")] == [(None, -1)] * 2
    assert all(call.sent > 0 for call in recording.of("insert"))


@pytest.mark.skipif(not hasattr(pymongo.MongoClient, "bulk_write"), reason="since pymongo 4.9")
def test_a_bulk_write_over_several_collections_is_a_call(recording: Recording, mongo_set: Server) -> None:
    models = [pymongo.InsertOne({"_id": 1, "name": "secret"}, namespace=f"shop.{name}") for name in ("a", "b")]
    with pymongo.MongoClient(mongo_set.tls_url) as client:
        assert client.bulk_write(models).inserted_count == 2
    (call,) = recording.of("bulkWrite")
    assert (call.rows_affected, call.session.namespace) == (2, "admin")
    assert call.statement.startswith("bulkWrite ")
    assert "secret" not in call.statement


def test_a_removed_probe_records_nothing_while_driver_threads_run(
    members: tuple[played.Member, played.Member],
) -> None:
    primary, _ = members
    with watching(PyMongoProbe) as recording:
        client = pymongo.MongoClient(HOST, primary.port, replicaSet="rs0", heartbeatFrequencyMS=500)
        client["shop"]["users"].find_one({})
    # A thread may finish its current record; later replies are not recorded.
    alone = f"{HOST}:{primary.port}"
    seen = primary.heartbeats
    primary.announce(hosts=[alone])
    wait_until(lambda: primary.heartbeats > seen)
    client["shop"]["users"].find_one({})
    client.close()
    assert len(recording.of("find")) == 1
    assert alone not in [call.facts.get(names.TOPOLOGY) for call in recording.calls]


# --- asyncio ---


async def _check_asyncio(recording: Recording, mongo_set: Server) -> None:
    async with ASYNCHRONOUS(mongo_set.tls_url, compressors="zlib") as client:
        users = client["shop"]["users"]
        await asyncio.gather(*(users.find({}, limit=20).to_list(20) for _ in range(3)))
        await users.find({}, batch_size=50).to_list(60)
        await users.bulk_write([pymongo.InsertOne({"_id": 1}), pymongo.InsertOne({"_id": 2})])
    finds = recording.of("find")
    assert [call.rows_returned for call in finds] == [20, 20, 20, 50]
    assert recording.of("getMore")[0].rows_returned == 50
    assert recording.of("insert")[0].rows_affected == 2
    session = finds[0].session
    assert (session.encrypted, session.verified, session.account) == (True, "full", "app")
    assert (session.auth_method, len(session.server_id)) == ("scram-sha-256", 24)
    for call in finds:
        assert call.facts[names.PAYLOAD_SIZE] > 4_000  # type: ignore[operator]
        assert 0 < call.received < 1_500
    assert any(names.TOPOLOGY in call.facts for call in recording.of("connect"))


@with_asyncio
def test_asyncio_has_the_same_records(recording: Recording, mongo_set: Server) -> None:
    asyncio.run(_check_asyncio(recording, mongo_set))


async def _failures_of_asyncio_are_calls(recording: Recording, mongo_set: Server) -> None:
    async with ASYNCHRONOUS(HOST, mongo_set.port, username="app", password="wrong", **QUICK) as client:
        with pytest.raises(OperationFailure):
            await client["shop"]["users"].find_one({})
    call = next(each for each in recording.of("connect") if each.error is not None)
    assert (type(call.error).__name__, call.session.account) == ("OperationFailure", "app")


@with_asyncio
def test_failures_of_asyncio_are_calls(recording: Recording, mongo_set: Server) -> None:
    asyncio.run(_failures_of_asyncio_are_calls(recording, mongo_set))


async def _a_cancelled_call_is_recorded(recording: Recording, mongo_set: Server) -> None:
    async with ASYNCHRONOUS(mongo_set.url) as client:
        await client["shop"].command("ping")
        waiting = asyncio.ensure_future(client["shop"].command("sleep"))
        await asyncio.sleep(0.3)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await client["shop"].command("ping")
    (call,) = recording.of("?")
    assert type(call.error).__name__ == "CancelledError"
    assert recording.of("ping")[-1].error is None


@with_asyncio
def test_a_cancelled_call_is_recorded(recording: Recording, mongo_set: Server) -> None:
    asyncio.run(_a_cancelled_call_is_recorded(recording, mongo_set))
