"""nats-py: messages, requests, streams; plaintext and TLS sessions; announcements and errors of a server."""

import asyncio
import pickle
import ssl
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Any

import nats as driver
import pytest
from nats.aio.transport import TcpTransport
from nats.errors import MaxPayloadError, NoRespondersError, NoServersError
from nats.js.api import ConsumerConfig, DeliverPolicy

from backwatch.attack.scenarios.nats.other_subject import OTHER, OtherSubjectNats
from backwatch.collector import names
from backwatch.collector.probes.nats import NatsProbe
from backwatch.collector.probes.nats.session import matches_subject, stream_info
from backwatch.collector.runtime.record import CLIENT, CONSUMER, PRODUCER
from tests.collector.probes.recording import Recording, watching
from tests.contract.exercises.kafka import Bomb
from tests.contract.exercises.nats import connect, nothing
from tests.services.brokers.nats import LIMITED
from tests.services.faults.hostile import hostile
from tests.services.overlays import not_overlaid, run_tests_with
from tests.services.server import Server

PROBES = (NatsProbe,)
OLDEST = version("nats-py") == "2.2.0"
Use = Callable[[Any], Coroutine[Any, Any, None]]


def run(url: str, use: Use, **options: Any) -> None:
    async def main() -> None:
        client = await driver.connect(url, error_cb=nothing, **options)
        try:
            await use(client)
        finally:
            await client.close()

    asyncio.run(main())


def connect_error(url: str, **options: Any) -> BaseException:
    """Return the error that connecting raises."""

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
    calls = recording.of("publish")
    assert [call.sent for call in calls] == [8] * 20 + [1]
    assert {(call.estimated, call.kind, call.statement) for call in calls} == {(True, PRODUCER, "publish tests.orders")}


def test_the_rest_of_a_burst_is_recorded_while_the_app_waits(
    recording: Recording, nats: Server, now: list[float]
) -> None:

    async def use(client: Any) -> None:
        subscription = await client.subscribe("tests.burst")
        for _ in range(3):
            await client.publish("tests.burst", b"12345")
            await subscription.next_msg(timeout=10)
        now[0] += 1.0
        for _ in range(10):  # the loop's timer fires within a second if the loop is free
            with pytest.raises(asyncio.TimeoutError):
                await subscription.next_msg(timeout=1)
            if len(recording.of("deliver")) == 2:
                break
        assert [call.received for call in recording.of("deliver")] == [5, 10]

    run(nats.url, use)
    assert {call.kind for call in recording.of("deliver")} == {CONSUMER}
    assert len(recording.of("deliver")) == 2


def test_every_delivery_is_recorded_under_its_subscription(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        subscription = await client.subscribe("tests.customer.*")
        for at in range(50):
            await client.publish(f"tests.customer.{at}", b"12345")
        for _ in range(50):
            await subscription.next_msg(timeout=10)

    run(nats.url, use)
    calls = recording.of("deliver")
    assert {call.statement for call in calls} == {"deliver tests.customer.*"}
    assert len(calls) < 6
    assert (sum(call.rows_returned for call in calls), sum(call.received for call in calls)) == (50, 250)
    assert {call.kind for call in calls} == {CONSUMER}
    assert [call.statement for call in recording.of("subscribe")] == ["subscribe tests.customer.*"]


def test_the_format_of_a_message_is_recognised(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        subscription = await client.subscribe("tests.jobs")
        await client.publish("tests.jobs", pickle.dumps(Bomb()))
        await subscription.next_msg(timeout=10)

    run(nats.url, use)
    (call,) = recording.of("deliver")
    assert call.facts[names.PAYLOAD_FORMAT] == "pickle"
    assert str(call.facts[names.PAYLOAD_GLOBALS]).endswith(".system")


@pytest.mark.parametrize("old_style", [False, True])
def test_a_request_and_its_reply_are_one_record(recording: Recording, nats: Server, old_style: bool) -> None:
    async def use(client: Any) -> None:
        async def answer(message: Any) -> None:
            await message.respond(b"1234567")

        await client.subscribe("tests.questions", cb=answer)
        for _ in range(3):
            await client.request("tests.questions", b"12345", timeout=10, old_style=old_style)

    run(nats.url, use)
    calls = recording.of("request")
    assert [(call.sent, call.received, call.rows_returned, call.kind) for call in calls] == [(5, 7, 1, CLIENT)] * 3
    # The app on the other side receives the request and publishes the reply.
    assert sum(call.rows_returned for call in recording.of("deliver")) == 3
    assert {call.statement for call in recording.of("deliver")} == {"deliver tests.questions"}
    assert [call.statement for call in recording.of("publish")] == ["publish _INBOX.?"] * 3


def test_errors_are_recorded(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        with pytest.raises(NoRespondersError):
            await client.request("tests.unanswered", b"", timeout=10)
        with pytest.raises(MaxPayloadError):
            await client.publish("tests.orders", b"x" * 2_000_000)

    run(nats.url, use)
    assert isinstance(recording.of("request")[0].error, NoRespondersError)
    assert isinstance(recording.of("publish")[0].error, MaxPayloadError)


def test_permission_violations_are_recorded(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        await client.publish("private.canary", b"x")
        await client.subscribe("private.canary")
        for _ in range(100):  # older versions send the request before what waits to be sent
            await client.flush()
            if len([call for call in recording.calls if call.error is not None]) == 2:
                break
            await asyncio.sleep(0.05)

    run(f"nats://127.0.0.1:{nats.port}", use, user=LIMITED, password=nats.password)
    errors = {(call.operation, call.error) for call in recording.calls if call.error is not None}
    assert errors == {("publish", "PermissionsViolation"), ("subscribe", "PermissionsViolation")}


def test_a_stream_is_recorded_without_its_internal_messages(recording: Recording, nats: Server) -> None:
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
    calls = [(call.operation, call.statement.partition(" ")[2]) for call in recording.calls]
    assert calls.count(("publish", "tests.stream.a")) == 5
    assert {call.kind for call in recording.of("publish")} == {PRODUCER}
    assert sum(call.rows_returned for call in recording.of("deliver")) == 5
    assert {call.statement for call in recording.of("deliver")} == {"deliver tests.stream.a"}
    managing = {name for operation, name in calls if operation == "request"}
    assert {"$JS.API.STREAM.CREATE.tests", "$JS.API.STREAM.DELETE.tests"} <= managing
    assert {operation for operation, _ in calls} == {"connect", "publish", "deliver", "request"}


def test_a_message_without_a_stream_is_recorded_with_its_error(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        with pytest.raises(Exception, match="no response from stream"):
            await client.jetstream(timeout=10).publish("tests.no.stream", b"")

    run(nats.url, use)
    (call,) = recording.of("publish")
    assert call.error is not None


def test_session_facts_over_tls_match_the_connection(recording: Recording, nats: Server) -> None:
    async def main() -> None:
        await (await connect(nats)).close()

    asyncio.run(main())
    (call,) = recording.of("connect")
    session = call.session
    assert (session.encrypted, session.verified, session.requested) == (True, "full", "verify-full")
    assert (session.account, session.auth_method) == ("app", "clear-password")
    assert (session.address, session.peer_address, session.peer_port) == ("localhost", "127.0.0.1", nats.tls_port)
    assert len(session.certificate_sha256) == 64
    assert session.server_version[0].isdigit()
    assert session.server_id.startswith("N")
    assert call.sent > 100
    assert call.received > 1000
    announced = str(call.facts[names.TOPOLOGY]).split(",")
    assert f"127.0.0.1:{nats.tls_port}" in announced
    assert len(announced) == 2


def test_plaintext_is_reported_as_unencrypted(recording: Recording, nats: Server) -> None:
    run(nats.url, lambda client: client.flush())
    session = recording.of("connect")[0].session
    assert (session.encrypted, session.requested, session.requested_explicit) == (False, "prefer", False)
    assert (session.account, session.auth_method) == ("app", "clear-password")
    assert nats.password not in repr([call.attributes() for call in recording.calls])


def test_a_failed_login_is_recorded_with_its_session_facts(recording: Recording, nats: Server) -> None:
    context = ssl.create_default_context(cafile=nats.ca_file)
    connect_error(f"tls://localhost:{nats.tls_port}", tls=context, user="app", password="canary-wrong")
    call = recording.of("connect")[0]
    assert (call.error, call.session.account) == ("AuthorizationViolation", "app")
    assert (call.session.encrypted, call.session.verified) == (True, "full")
    assert "canary" not in repr([each.attributes() for each in recording.calls])


def test_a_token_is_not_an_account(recording: Recording, nats: Server) -> None:
    connect_error(f"nats://canary-token@127.0.0.1:{nats.port}")
    call = recording.of("connect")[0]
    assert (call.session.account, call.session.auth_method) == ("", "token")
    assert "canary" not in repr([each.attributes() for each in recording.calls])


def test_an_untrusted_certificate_is_recorded(recording: Recording, nats: Server) -> None:
    assert isinstance(connect_error(f"tls://localhost:{nats.tls_port}", tls=ssl.create_default_context()), ssl.SSLError)
    call = recording.of("connect")[0]
    assert isinstance(call.error, ssl.SSLCertVerificationError)
    assert call.session.encrypted is None


def test_an_unreachable_server_is_recorded_without_guessed_facts(recording: Recording) -> None:
    few: dict[str, Any] = {"max_reconnect_attempts": 1, "reconnect_time_wait": 0}

    async def main() -> None:
        await driver.connect("nats://localhost:1", error_cb=nothing, **few)

    with pytest.raises(NoServersError):
        asyncio.run(main())
    call = recording.of("connect")[0]
    assert isinstance(call.error, OSError)
    assert (call.session.encrypted, call.session.address, call.session.port) == (None, "localhost", 1)


def test_a_connection_lost_during_tls_has_no_facts(nats: Server) -> None:
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


def test_no_value_is_recorded(recording: Recording, nats: Server) -> None:
    async def use(client: Any) -> None:
        subscription = await client.subscribe("tests.values")
        await client.publish("tests.values", b"canary-v", headers={"canary-h": "canary"})
        await subscription.next_msg(timeout=10)

    run(nats.url, use)
    assert "canary" not in repr([call.attributes() for call in recording.calls])


def test_a_client_older_than_the_probe_is_recorded(nats: Server) -> None:
    recording = Recording()

    async def use(client: Any) -> None:
        with watching(NatsProbe, recording):
            await client.publish("tests.orders", b"12345")
        await client.publish("tests.orders", b"unseen")

    run(nats.url, use)
    (call,) = recording.calls
    assert (call.sent, call.session.peer_port, call.session.encrypted) == (5, nats.port, False)


@not_overlaid
def test_the_oldest_nats_py_passes_the_same_tests(nats: Server) -> None:
    run_tests_with(["nats-py==2.2.0"], "nats", nats)


def test_a_stray_message_is_reported_without_its_subject() -> None:
    async def use(client: Any) -> None:
        subscription = await client.subscribe("orders.eu")
        await client.publish("orders.eu", b"order 7")
        assert (await subscription.next_msg(timeout=5)).subject == OTHER

    with watching(NatsProbe) as recording, hostile(OtherSubjectNats) as (service, ca_file):
        run(f"tls://localhost:{service.port}", use, tls=ssl.create_default_context(cafile=ca_file))
    (call,) = recording.of("deliver")
    assert call.facts[names.RESPONSE_INDICATORS] == "other-key"
    assert OTHER not in repr([each.attributes() for each in recording.calls])


def test_messages_of_patterns_and_streams_are_not_stray(recording: Recording, nats: Server) -> None:
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
    assert [call for call in delivered if names.RESPONSE_INDICATORS in call.facts] == []


@pytest.mark.parametrize(
    ("subject", "wanted", "expected"),
    [
        ("a.b", "a.b", True), ("a.b", "a.*", True), ("a.b.c", "a.*", False), ("a.b.c", "a.>", True),
        ("a", "a.>", False), ("a", ">", True), ("b.b", "a.*", False), ("a.b", "*.*", True),
        ("", "a", False), ("a.b.c", "a.*.d", False),
    ],
)  # fmt: skip
def test_subjects_match_their_subscriptions(subject: str, wanted: str, expected: bool) -> None:
    assert matches_subject(subject, wanted) is expected
