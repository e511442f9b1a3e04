"""pymongo: sessions, commands, cursors, bulk writes; which facts are recorded, and which are not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pymongo
import pytest
from bson import ObjectId
from pymongo.errors import DuplicateKeyError, OperationFailure, ServerSelectionTimeoutError
from pymongo.monitoring import CommandListener

from backwatch.collector import names
from backwatch.collector.probes.pymongo import PyMongoProbe
from tests.collector.probes.recording import RecordedCall, Recording, watching

PROBES = (PyMongoProbe,)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.services.server import Server

QUICK: dict[str, Any] = {"serverSelectionTimeoutMS": 300, "retryReads": False}


@pytest.fixture
def over_tls(mongodb: Server) -> Iterator[pymongo.MongoClient[Any]]:
    with pymongo.MongoClient(mongodb.tls_url) as client:
        yield client


@pytest.fixture
def orders(over_tls: pymongo.MongoClient[Any]) -> Iterator[Any]:
    collection = over_tls["shop"][f"orders{ObjectId()}"]
    yield collection
    collection.drop()


def last(recording: Recording, operation: str) -> RecordedCall:
    return recording.of(operation)[-1]


def shape(call: RecordedCall, collection: Any) -> str:
    name = "?" if sum(character.isdigit() for character in collection.name) > 8 else collection.name
    return call.statement.replace(name, "orders", 1)


def test_a_session_over_tls_reports_all_facts(
    recording: Recording, over_tls: pymongo.MongoClient[Any], mongodb: Server
) -> None:
    over_tls["shop"].command("ping")
    call = last(recording, "ping")
    session = call.session
    assert (session.system, session.address, session.port) == ("mongodb", mongodb.host, mongodb.tls_port)
    assert (session.encrypted, session.verified, session.tls_version) == (True, "full", "1.3")
    assert (session.requested, session.requested_explicit) == ("verify-full", True)
    assert (session.account, session.auth_method, session.namespace) == ("", "none", "shop")
    assert (session.peer_address, session.peer_port) == (mongodb.host, mongodb.tls_port)
    assert (len(session.certificate_sha256), session.server_version) == (64, "")
    assert 0 < call.sent < 500
    assert 0 < call.received < 500


def test_a_version_is_reported_once_the_app_has_requested_it(
    recording: Recording, over_tls: pymongo.MongoClient[Any]
) -> None:
    version = over_tls.server_info()["version"]
    over_tls["shop"].command("ping")
    assert last(recording, "ping").session.server_version == version


def test_a_plain_session_is_reported_as_unencrypted(recording: Recording, mongodb: Server) -> None:
    with pymongo.MongoClient(mongodb.url) as client:
        client["shop"].command("ping")
    session = last(recording, "ping").session
    assert (session.encrypted, session.requested, session.requested_explicit) == (False, "disable", False)


@pytest.mark.parametrize(
    ("options", "requested", "verified"),
    [
        ({"tlsAllowInvalidCertificates": True}, "require", "none"),
        ({"tlsAllowInvalidHostnames": True}, "verify-ca", "chain"),
    ],
)
def test_less_than_full_verification_is_reported(
    recording: Recording, mongodb: Server, options: dict[str, Any], requested: str, verified: str
) -> None:
    with pymongo.MongoClient(mongodb.host, mongodb.tls_port, tls=True, tlsCAFile=mongodb.ca_file, **options) as client:
        client["shop"].command("ping")
    session = last(recording, "ping").session
    assert (session.requested, session.verified) == (requested, verified)


def test_the_handshake_belongs_to_connect_and_a_command_to_its_call(recording: Recording, orders: Any) -> None:
    orders.insert_one({"_id": 1, "text": "x" * 10_000})
    orders.find_one({"_id": 1})
    assert max(call.received for call in recording.of("connect")) > 1_000
    assert 10_000 < last(recording, "insert").sent < 10_500
    assert 10_000 < last(recording, "find").received < 10_500


def test_heartbeats_are_not_calls(recording: Recording, mongodb: Server) -> None:
    with pymongo.MongoClient(mongodb.url, heartbeatFrequencyMS=500) as client:
        client["shop"].command("ping")
        threading.Event().wait(1.2)
        client["shop"].command("ping")
    assert {call.operation for call in recording.calls} <= {"connect", "ping", "endSessions"}
    assert len(recording.of("connect")) <= 4


def test_rows_are_reported_with_each_batch(recording: Recording, orders: Any) -> None:
    orders.insert_many([{"_id": number} for number in range(250)])
    assert len(list(orders.find({"_id": {"$gte": 10}}, batch_size=100))) == 240
    assert last(recording, "insert").rows_affected == 250
    batches = [call for call in recording.calls if call.operation in ("find", "getMore")]
    assert [(call.operation, call.rows_returned) for call in batches] == [
        ("find", 100),
        ("getMore", 100),
        ("getMore", 40),
    ]
    assert shape(batches[0], orders) == "find orders filter:{_id:{$gte:?}}"
    assert shape(batches[1], orders) == "getMore orders"
    assert batches[0].session.namespace == "shop"


def test_killing_an_abandoned_cursor_is_a_call(recording: Recording, orders: Any) -> None:
    orders.insert_many([{"_id": number} for number in range(20)])
    cursor = orders.find({}, batch_size=2)
    next(cursor)
    cursor.close()
    assert last(recording, "killCursors").error is None


def test_rows_of_raw_batches_are_unknown(recording: Recording, orders: Any) -> None:
    orders.insert_many([{"_id": number} for number in range(20)])
    assert list(orders.find_raw_batches({}))
    assert last(recording, "find").rows_returned == -1


def test_writes_report_their_affected_rows(recording: Recording, orders: Any) -> None:
    orders.insert_many([{"_id": number} for number in range(10)])
    orders.update_many({"_id": {"$lt": 4}}, {"$set": {"paid": "secret"}})
    orders.delete_many({"_id": {"$lt": 3}})
    assert last(recording, "update").rows_affected == 4
    assert shape(last(recording, "update"), orders) == (
        "update orders updates:[{q:{_id:{$lt:?}},u:{$set:{paid:?}},multi:?,upsert:?}]"
    )
    assert last(recording, "delete").rows_affected == 3
    assert "secret" not in str([call.statement for call in recording.calls])


def test_a_bulk_write_is_one_call_for_each_command(recording: Recording, orders: Any) -> None:
    orders.bulk_write(
        [
            *(pymongo.InsertOne({"_id": number}) for number in range(30)),
            *(pymongo.UpdateOne({"_id": number}, {"$set": {"paid": True}}) for number in range(20)),
            pymongo.DeleteOne({"_id": 1}),
        ]
    )
    kinds = [(call.operation, call.rows_affected) for call in recording.calls if call.operation != "connect"]
    assert kinds == [("insert", 30), ("update", 20), ("delete", 1)]
    assert shape(last(recording, "update"), orders).count("$set") == 1


def test_javascript_shows_as_an_operator_without_its_code(recording: Recording, orders: Any) -> None:
    orders.insert_one({"_id": 1})
    code = "function() { return 'secret' == this.password }"
    with pytest.raises(OperationFailure):
        orders.find_one({"$where": code})
    pipeline = [{"$project": {"a": {"$function": {"body": code, "args": ["$b"], "lang": "js"}}}}]
    with pytest.raises(OperationFailure):
        orders.aggregate(pipeline)
    with pytest.raises(OperationFailure):
        orders.database.command("mapReduce", orders.name, map=code, reduce=code, out={"inline": 1})
    assert "filter:{$where:?}" in last(recording, "find").statement
    assert "{$project:{a:{$function:{body:?,args:[?],lang:?}}}}" in last(recording, "aggregate").statement
    assert "map:? reduce:? out:{inline:?}" in last(recording, "mapReduce").statement
    assert "secret" not in str([call.statement for call in recording.calls])


def test_an_injected_operator_is_another_statement(recording: Recording, orders: Any) -> None:
    for password in ("x", {"$ne": None}):
        orders.find_one({"user": "ann", "password": password})
    honest, injected = (call.statement.partition(" ")[2] for call in recording.of("find"))
    assert honest != injected
    assert "password:{$ne:?}" in injected


def test_errors_have_their_class_or_the_servers_code(recording: Recording, orders: Any) -> None:
    orders.insert_one({"_id": 1})
    with pytest.raises(DuplicateKeyError):
        orders.insert_one({"_id": 1})
    call = last(recording, "insert")
    assert (call.error, call.facts[names.STATUS_CODE]) == ("11000", "11000")
    with pytest.raises(OperationFailure):
        orders.database.command({"nosuchcommand": "secret"})
    call = last(recording, "?")
    assert (type(call.error).__name__, call.facts[names.STATUS_CODE]) == ("OperationFailure", "59")


def test_a_reply_that_is_not_checked_still_has_its_error(
    recording: Recording, over_tls: pymongo.MongoClient[Any]
) -> None:
    over_tls["shop"].command("nosuchcommand", check=False)
    assert last(recording, "?").error == "59"


def test_an_encoding_error_is_recorded_and_raised(recording: Recording, orders: Any) -> None:
    with pytest.raises(Exception, match="cannot encode"):
        orders.database.command("find", orders.name, filter={"a": object()})
    assert type(last(recording, "find").error).__name__ == "InvalidDocument"


def test_a_refused_connection_and_a_failed_handshake_are_calls(recording: Recording, mongodb: Server) -> None:
    attempts: list[tuple[int, dict[str, Any], str]] = [
        (1, {}, "AutoReconnect"),
        (mongodb.tls_port, {"tls": True}, "SSLCertVerificationError"),
    ]
    for port, options, error in attempts:
        with (
            pymongo.MongoClient(mongodb.host, port, **QUICK, **options) as client,
            pytest.raises(ServerSelectionTimeoutError),
        ):
            client["shop"].command("ping")
        call = last(recording, "connect")
        assert (type(call.error).__name__, call.session.port) == (error, port)
        assert call.session.encrypted is None


def test_threads_share_a_pool_without_mixing_replies(recording: Recording, orders: Any) -> None:
    def work(number: int) -> None:
        for _ in range(30):
            assert orders.find_one({"_id": number})["_id"] == number

    orders.insert_many([{"_id": number} for number in range(4)])
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    finds = recording.of("find")
    assert len(finds) == 120
    assert {(call.rows_returned, call.error) for call in finds} == {(1, None)}
    assert all(0 < call.received < 500 for call in finds)


def test_a_connection_older_than_the_probe_is_read_at_its_next_call(orders: Any) -> None:
    orders.insert_one({"_id": 1, "text": "x" * 10_000})
    with watching(PyMongoProbe) as recording:
        orders.find_one({"_id": 1})
    (call,) = recording.of("find")
    assert (call.session.encrypted, call.session.verified) == (True, "full")
    assert 10_000 < call.received < 10_500
    assert call.sent < 500


def test_the_apps_own_listeners_see_each_event_once(recording: Recording, mongodb: Server) -> None:
    class Listener(CommandListener):
        def __init__(self) -> None:
            self.seen: list[str] = []

        def started(self, event: Any) -> None:
            self.seen.append(event.command_name)

        def succeeded(self, event: Any) -> None: ...

        def failed(self, event: Any) -> None: ...

    listener = Listener()
    with pymongo.MongoClient(mongodb.url, event_listeners=[listener]) as client:
        client["shop"].command("ping")
        client["shop"]["orders"].find_one({})
    assert [name for name in listener.seen if name in ("ping", "find")] == ["ping", "find"]
    assert (len(recording.of("ping")), len(recording.of("find"))) == (1, 1)
