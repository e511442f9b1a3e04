"""nats-py: messages, requests, streams; sessions in the clear and over TLS; what a server announces and refuses."""

import asyncio
import os
import pickle
import ssl
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nats as driver
import pytest
from nats.aio.transport import TcpTransport
from nats.errors import MaxPayloadError, NoRespondersError, NoServersError
from nats.js.api import ConsumerConfig, DeliverPolicy

from backwatch.attack.scenarios.nats.other_subject import OTHER, Straying
from backwatch.collector import names
from backwatch.collector.probes.nats import NatsProbe
from backwatch.collector.probes.nats.session import matches_subject, stream_info
from backwatch.collector.runtime.record import CLIENT, CONSUMER, PRODUCER
from tests.collector.probes.recording import Recording, watching
from tests.contract.exercises.kafka import Bomb
from tests.contract.exercises.nats import connect, nothing
from tests.services.brokers.nats import LIMITED
from tests.services.faults.hostile import hostile
from tests.services.overlays import overlay
from tests.services.server import Server

ROOT = Path(__file__).parents[3]
OLDEST = version("nats-py") == "2.2.0"
Use = Callable[[Any], Coroutine[Any, Any, None]]


@pytest.fixture
def recording() -> Iterator[Recording]:
    with watching(NatsProbe) as told:
        yield told


def run(url: str, use: Use, **options: Any) -> None:
    async def main() -> None:
        client = await driver.connect(url, error_cb=nothing, **options)
        try:
            await use(client)
        finally:
            await client.close()

    asyncio.run(main())


def refused(url: str, **options: Any) -> BaseException:
    """What connecting raises."""

    async def main() -> None:
        await driver.connect(url, error_cb=nothing, allow_reconnect=False, **options)

    with pytest.raises(Exception) as caught:
        asyncio.run(main())
    return caught.value


def test_a_message_is_one_record(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        for _ in range(20):
            await client.publish("tests.orders", b"12345", headers={"h": "12"})
        await client.publish(subject="tests.orders", payload=b"1")

    run(nats.url, use)
    told = recording.of("publish")
    assert [one.sent for one in told] == [8] * 20 + [1]
    assert {(one.estimated, one.kind, one.statement) for one in told} == {(True, PRODUCER, "publish tests.orders")}


def test_what_a_burst_left_is_told_while_the_app_waits_for_more(
    recording: Recording, nats: Server, now: list[float]
) -> None:

    async def use(client: Any) -> None:
        subscription = await client.subscribe("tests.burst")
        for _ in range(3):
            await client.publish("tests.burst", b"12345")
            await subscription.next_msg(timeout=10)
        now[0] += 1.0
        for _ in range(10):  # the loop tells within a second, where it is not kept from it
            with pytest.raises(asyncio.TimeoutError):
                await subscription.next_msg(timeout=1)
            if len(recording.of("deliver")) == 2:
                break
        assert [one.received for one in recording.of("deliver")] == [5, 10]

    run(nats.url, use)
    assert {one.kind for one in recording.of("deliver")} == {CONSUMER}
    assert len(recording.of("deliver")) == 2


def test_what_is_delivered_is_told_by_what_was_subscribed_to_and_none_is_left_out(
    recording: Recording, nats: Server
) -> None:
    async def use(client: Any) -> None:
        subscription = await client.subscribe("tests.customer.*")
        for at in range(50):
            await client.publish(f"tests.customer.{at}", b"12345")
        for _ in range(50):
            await subscription.next_msg(timeout=10)

    run(nats.url, use)
    told = recording.of("deliver")
    assert {one.statement for one in told} == {"deliver tests.customer.*"}
    assert len(told) < 6
    assert (sum(one.rows_returned for one in told), sum(one.received for one in told)) == (50, 250)
    assert {one.kind for one in told} == {CONSUMER}
    assert [one.statement for one in recording.of("subscribe")] == ["subscribe tests.customer.*"]


def test_what_a_message_is_made_of_is_recognised(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        subscription = await client.subscribe("tests.jobs")
        await client.publish("tests.jobs", pickle.dumps(Bomb()))
        await subscription.next_msg(timeout=10)

    run(nats.url, use)
    (told,) = recording.of("deliver")
    assert told.facts[names.PAYLOAD_FORMAT] == "pickle"
    assert str(told.facts[names.PAYLOAD_GLOBALS]).endswith(".system")


@pytest.mark.parametrize("old_style", [False, True])
def test_a_request_and_its_answer_are_one_record(recording: Recording, nats: Server, old_style: bool) -> None:
    async def use(client: Any) -> None:
        async def answer(message: Any) -> None:
            await message.respond(b"1234567")

        await client.subscribe("tests.questions", cb=answer)
        for _ in range(3):
            await client.request("tests.questions", b"12345", timeout=10, old_style=old_style)

    run(nats.url, use)
    told = recording.of("request")
    assert [(one.sent, one.received, one.rows_returned, one.kind) for one in told] == [(5, 7, 1, CLIENT)] * 3
    # The app on the other side takes the question and publishes the answer.
    assert sum(one.rows_returned for one in recording.of("deliver")) == 3
    assert {one.statement for one in recording.of("deliver")} == {"deliver tests.questions"}
    assert [one.statement for one in recording.of("publish")] == ["publish _INBOX.?"] * 3


def test_errors_are_told(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        with pytest.raises(NoRespondersError):
            await client.request("tests.nobody", b"", timeout=10)
        with pytest.raises(MaxPayloadError):
            await client.publish("tests.orders", b"x" * 2_000_000)

    run(nats.url, use)
    assert isinstance(recording.of("request")[0].error, NoRespondersError)
    assert isinstance(recording.of("publish")[0].error, MaxPayloadError)


def test_what_an_account_may_not_do_is_told(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        await client.publish("private.canary", b"x")
        await client.subscribe("private.canary")
        for _ in range(100):  # older ones send their question before what waits to be sent
            await client.flush()
            if len([one for one in recording.calls if one.error is not None]) == 2:
                break
            await asyncio.sleep(0.05)

    run(f"nats://127.0.0.1:{nats.port}", use, user=LIMITED, password=nats.password)
    errors = {(one.operation, one.error) for one in recording.calls if one.error is not None}
    assert errors == {("publish", "PermissionsViolation"), ("subscribe", "PermissionsViolation")}


def test_a_stream_is_told_without_its_plumbing(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        stream = client.jetstream(timeout=10)
        await stream.add_stream(name="tests", subjects=["tests.stream.>"])
        try:
            for _ in range(5):
                await stream.publish("tests.stream.a", b"12345")
            pulling = await stream.pull_subscribe("tests.stream.>", "tests")
            for message in await pulling.fetch(5, timeout=10):
                await message.ack()
        finally:
            await stream.delete_stream("tests")

    run(nats.url, use)
    told = [(one.operation, one.statement.partition(" ")[2]) for one in recording.calls]
    assert told.count(("publish", "tests.stream.a")) == 5
    assert {one.kind for one in recording.of("publish")} == {PRODUCER}
    assert sum(one.rows_returned for one in recording.of("deliver")) == 5
    assert {one.statement for one in recording.of("deliver")} == {"deliver tests.stream.a"}
    managing = {name for operation, name in told if operation == "request"}
    assert {"$JS.API.STREAM.CREATE.tests", "$JS.API.STREAM.DELETE.tests"} <= managing
    assert {operation for operation, _ in told} == {"connect", "publish", "deliver", "request"}


def test_a_message_that_no_stream_takes_is_told(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        with pytest.raises(Exception, match="no response from stream"):
            await client.jetstream(timeout=10).publish("tests.no.stream", b"")

    run(nats.url, use)
    (told,) = recording.of("publish")
    assert told.error is not None


def test_a_session_over_tls_is_told_as_it_is(recording: Recording, nats: Server) -> None:
    async def main() -> None:
        await (await connect(nats)).close()

    asyncio.run(main())
    (told,) = recording.of("connect")
    session = told.session
    assert (session.encrypted, session.verified, session.requested) == (True, "full", "verify-full")
    assert (session.account, session.auth_method) == ("app", "clear-password")
    assert (session.address, session.peer_address, session.peer_port) == ("localhost", "127.0.0.1", nats.tls_port)
    assert len(session.certificate_sha256) == 64
    assert session.server_version[0].isdigit()
    assert session.server_id.startswith("N")
    assert told.sent > 100
    assert told.received > 1000
    announced = str(told.facts[names.TOPOLOGY]).split(",")
    assert f"127.0.0.1:{nats.tls_port}" in announced
    assert len(announced) == 2


def test_plaintext_is_told_as_such(recording: Recording, nats: Server) -> None:
    run(nats.url, lambda client: client.flush())
    session = recording.of("connect")[0].session
    assert (session.encrypted, session.requested, session.requested_explicit) == (False, "prefer", False)
    assert (session.account, session.auth_method) == ("app", "clear-password")
    assert nats.password not in repr([one.attributes() for one in recording.calls])


def test_a_login_that_fails_is_told_with_what_was_true_of_it(recording: Recording, nats: Server) -> None:
    context = ssl.create_default_context(cafile=nats.ca_file)
    refused(f"tls://localhost:{nats.tls_port}", tls=context, user="app", password="canary-wrong")
    told = recording.of("connect")[0]
    assert (told.error, told.session.account) == ("AuthorizationViolation", "app")
    assert (told.session.encrypted, told.session.verified) == (True, "full")
    assert "canary" not in repr([one.attributes() for one in recording.calls])


def test_a_token_is_no_account(recording: Recording, nats: Server) -> None:
    refused(f"nats://canary-token@127.0.0.1:{nats.port}")
    told = recording.of("connect")[0]
    assert (told.session.account, told.session.auth_method) == ("", "token")
    assert "canary" not in repr([one.attributes() for one in recording.calls])


def test_a_certificate_that_nobody_vouches_for_is_told(recording: Recording, nats: Server) -> None:
    assert isinstance(refused(f"tls://localhost:{nats.tls_port}", tls=ssl.create_default_context()), ssl.SSLError)
    told = recording.of("connect")[0]
    assert isinstance(told.error, ssl.SSLCertVerificationError)
    assert told.session.encrypted is None


def test_a_server_that_is_not_there_is_told_and_nothing_is_guessed(recording: Recording) -> None:
    few: dict[str, Any] = {"max_reconnect_attempts": 1, "reconnect_time_wait": 0}

    async def main() -> None:
        await driver.connect("nats://localhost:1", error_cb=nothing, **few)

    with pytest.raises(NoServersError):
        asyncio.run(main())
    told = recording.of("connect")[0]
    assert isinstance(told.error, OSError)
    assert (told.session.encrypted, told.session.address, told.session.port) == (None, "localhost", 1)


def test_a_connection_that_was_lost_while_tls_began_has_no_facts(nats: Server) -> None:
    async def main() -> None:
        transport: Any = TcpTransport()
        transport._io_reader, transport._io_writer = await asyncio.open_connection("localhost", nats.port)
        writer: Any = transport._io_writer
        stood = writer.transport
        assert stream_info(transport, "socket") is not None
        writer._transport = None  # what start_tls gives then, and nats-py keeps
        assert stream_info(transport, "socket") is None
        assert stream_info(transport, "ssl_object") is None
        writer._transport = stood
        writer.close()

    asyncio.run(main())


def test_no_value_is_told(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        subscription = await client.subscribe("tests.values")
        await client.publish("tests.values", b"canary-v", headers={"canary-h": "canary"})
        await subscription.next_msg(timeout=10)

    run(nats.url, use)
    assert "canary" not in repr([one.attributes() for one in recording.calls])


def test_a_client_that_is_older_than_the_probe_is_told(nats: Server) -> None:
    told = Recording()

    async def use(client: Any) -> None:
        with watching(NatsProbe, told):
            await client.publish("tests.orders", b"12345")
        await client.publish("tests.orders", b"untold")

    run(nats.url, use)
    (call,) = told.calls
    assert (call.sent, call.session.peer_port, call.session.encrypted) == (5, nats.port, False)


@pytest.mark.timeout(300)
@pytest.mark.skipif(OLDEST, reason="this is the oldest")
def test_the_oldest_nats_py_is_told_likewise(nats: Server) -> None:
    told = f"{nats.url}/?tls_port={nats.tls_port}&ca_file={nats.ca_file}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore",
         "tests/collector/probes/test_nats.py", "tests/contract/test_every_probe.py", "-k", "nats"],
        cwd=ROOT, capture_output=True, text=True, timeout=250, check=False,
        env={**os.environ, "PYTHONPATH": str(overlay("nats-py==2.2.0")), "BACKWATCH_TEST_NATS_URL": told},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_message_under_another_subject_than_was_subscribed_to_is_told_and_its_subject_is_not() -> None:
    async def use(client: Any) -> None:
        subscription = await client.subscribe("orders.eu")
        await client.publish("orders.eu", b"order 7")
        assert (await subscription.next_msg(timeout=5)).subject == OTHER.decode()

    with watching(NatsProbe) as recording, hostile(Straying) as (service, ca_file):
        run(f"tls://localhost:{service.port}", use, tls=ssl.create_default_context(cafile=ca_file))
    (told,) = recording.of("deliver")
    assert told.facts[names.RESPONSE_INDICATORS] == "other-key"
    assert OTHER.decode() not in repr([one.attributes() for one in recording.calls])


def test_messages_for_a_pattern_and_of_a_stream_are_what_was_asked_for(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        for wanted in ("test.asked.*", "test.>", "test.asked.for"):
            subscription = await client.subscribe(wanted)
            await client.publish("test.asked.for", b"1")
            await subscription.next_msg(timeout=10)
        stream = client.jetstream(timeout=10)
        await stream.add_stream(name="asked", subjects=["stream.asked.>"])
        pushed = await stream.subscribe("stream.asked.>", deliver_policy=DeliverPolicy.ALL)
        named = await stream.subscribe(
            "stream.asked.>", config=ConsumerConfig(deliver_subject="own.place", deliver_policy=DeliverPolicy.ALL)
        )
        await stream.publish("stream.asked.for", b"2")
        for subscription in (pushed, named):
            assert (await subscription.next_msg(timeout=10)).subject == "stream.asked.for"
        await stream.delete_stream("asked")

    run(nats.url, use)
    delivered = recording.of("deliver")
    assert len(delivered) >= 4
    assert [one for one in delivered if names.RESPONSE_INDICATORS in one.facts] == []


@pytest.mark.parametrize(
    ("subject", "wanted", "expected"),
    [
        ("a.b", "a.b", True), ("a.b", "a.*", True), ("a.b.c", "a.*", False), ("a.b.c", "a.>", True),
        ("a", "a.>", False), ("a", ">", True), ("b.b", "a.*", False), ("a.b", "*.*", True),
        ("", "a", False), ("a.b.c", "a.*.d", False),
    ],
)  # fmt: skip
def test_a_subject_belongs_to_what_was_subscribed_to(subject: str, wanted: str, expected: bool) -> None:
    assert matches_subject(subject, wanted) is expected
