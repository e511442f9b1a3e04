"""gRPC: each shape of RPC, its end, a channel's requested security; and its oldest version."""

import asyncio
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest

from backwatch.collector import names
from backwatch.collector.probes.grpc import GrpcProbe
from tests.collector.probes.recording import RecordedCall, Recording, watching
from tests.contract.exercises.grpc import GET, LIST, LOGIN, PUT, TALK, credentials
from tests.services.overlays import overlay
from tests.services.process import ROOT, free_port
from tests.services.server import Server

PROBES = (GrpcProbe,)


@pytest.fixture
def channel(grpc_server: Server, recording: Recording) -> Iterator[grpc.Channel]:
    with grpc.secure_channel(grpc_server.tls_url, credentials(grpc_server)) as channel:
        yield channel


def get_recorded(recording: Recording, number: int = 1) -> RecordedCall:
    """Return the last call, once so many have been recorded: gRPC ends some on a separate thread."""
    deadline = time.monotonic() + 10
    while len(recording.calls) < number and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(recording.calls) == number
    return recording.calls[-1]


def test_an_rpc_is_one_call_without_its_message_and_its_metadata(
    channel: grpc.Channel, grpc_server: Server, recording: Recording
) -> None:
    assert channel.unary_unary(GET)(b"canary-1", metadata=LOGIN) == b"canary-1canary-1"
    one = get_recorded(recording)
    assert one.operation == one.statement == "shop.v1.Orders/Get"
    session = one.session
    assert (session.system, session.address, session.port) == ("grpc", "127.0.0.1", grpc_server.tls_port)
    assert (session.requested, session.encrypted, session.verified) == ("verify-full", True, "full")
    assert (session.account, session.auth_method) == ("app", "clear-password")
    assert (session.certificate_sha256, session.peer_address) == ("", "")  # the C core reports neither
    assert (one.sent, one.received, one.estimated) == (13, 21, True)
    assert (one.rows_returned, one.rows_affected) == (1, -1)
    assert "canary" not in repr(recording.calls)
    assert "very-secret" not in repr(recording.calls)
    assert one.caller is not None
    assert one.caller.site is not None
    assert one.caller.site.file.endswith("test_grpc.py")


def test_messages_are_rows_in_every_shape_of_rpc(channel: grpc.Channel, recording: Recording) -> None:
    assert len(list(channel.unary_stream(LIST)(b"20"))) == 20
    one = get_recorded(recording)
    assert (one.rows_returned, one.received) == (20, 20 * 105)
    channel.stream_unary(PUT)(iter([b"a" * 10, b"b" * 20]))
    one = get_recorded(recording, 2)
    assert (one.rows_affected, one.rows_returned, one.sent) == (2, 1, 40)
    assert len(list(channel.stream_stream(TALK)(iter([b"a", b"b"])))) == 4
    one = get_recorded(recording, 3)
    assert (one.rows_affected, one.rows_returned) == (2, 4)
    channel.unary_unary(GET).future(b"x").result()
    assert get_recorded(recording, 4).rows_returned == 1


def test_abandoned_stream_is_recorded_when_grpc_frees_it(channel: grpc.Channel, recording: Recording) -> None:
    stream = channel.unary_stream(LIST)(b"900")
    assert next(stream)
    assert recording.calls == []
    del stream
    gc.collect()
    assert get_recorded(recording).error == "CANCELLED"


def test_a_single_threaded_stream_is_recorded_too(grpc_server: Server, recording: Recording) -> None:
    options = [("SingleThreadedUnaryStream", 1)]
    with grpc.insecure_channel(grpc_server.url, options=options) as channel:
        assert len(list(channel.unary_stream(LIST)(b"20"))) == 20
        assert get_recorded(recording).rows_returned == 20


@pytest.mark.parametrize(
    ("request_", "options", "status"),
    [(b"missing", {}, "NOT_FOUND"), (b"slow", {"timeout": 0.2}, "DEADLINE_EXCEEDED")],
)
def test_a_status_is_the_error(
    channel: grpc.Channel, recording: Recording, request_: bytes, options: dict[str, Any], status: str
) -> None:
    with pytest.raises(grpc.RpcError):
        channel.unary_unary(GET)(request_, **options)
    one = get_recorded(recording)
    assert (one.error, one.facts[names.STATUS_CODE]) == (status, status)
    # A deadline may be over before a server is there: no TLS is claimed then.
    assert one.session.encrypted is (True if status == "NOT_FOUND" else None)


def test_a_broken_stream_reports_the_messages_before_the_error(channel: grpc.Channel, recording: Recording) -> None:
    with pytest.raises(grpc.RpcError):
        list(channel.unary_stream(LIST)(b"2000"))
    one = get_recorded(recording)
    assert (one.error, one.rows_returned) == ("RESOURCE_EXHAUSTED", 1_001)


def test_an_untrusted_certificate_makes_no_session(grpc_server: Server, recording: Recording) -> None:
    with (
        grpc.secure_channel(grpc_server.tls_url, grpc.ssl_channel_credentials()) as channel,
        pytest.raises(grpc.RpcError),
    ):
        channel.unary_unary(GET)(b"x")
    one = get_recorded(recording)
    assert (one.error, one.session.requested) == ("UNAVAILABLE", "verify-full")
    assert (one.session.encrypted, one.session.verified) == (None, "")


def test_another_name_than_the_targets_is_less_than_verified(grpc_server: Server, recording: Recording) -> None:
    options = [("grpc.ssl_target_name_override", "localhost")]
    with grpc.secure_channel(grpc_server.tls_url, credentials(grpc_server), options=options) as channel:
        channel.unary_unary(GET)(b"x")
    session = get_recorded(recording).session
    assert (session.requested, session.verified) == ("verify-ca", "chain")


def test_credentials_that_call_are_recorded_by_their_kind(grpc_server: Server, recording: Recording) -> None:
    token = grpc.access_token_call_credentials("very-secret")
    both = grpc.composite_channel_credentials(credentials(grpc_server), token)
    with grpc.secure_channel(grpc_server.tls_url, both) as channel:
        channel.unary_unary(GET)(b"x")
    with grpc.insecure_channel(grpc_server.url) as channel:
        channel.unary_unary(GET)(b"x")
    first, second = recording.calls
    assert (first.session.auth_method, first.session.encrypted) == ("call-credentials", True)
    assert (second.session.auth_method, second.session.encrypted) == ("none", False)
    assert "very-secret" not in repr(recording.calls)


def test_a_channel_that_is_older_than_the_probe_claims_nothing(grpc_server: Server) -> None:
    with grpc.secure_channel(grpc_server.tls_url, credentials(grpc_server)) as channel:
        get = channel.unary_unary(GET)
        with watching(GrpcProbe) as recording:
            get(b"x")
        get(b"x")
    one = get_recorded(recording)
    assert (one.session.address, one.session.port) == ("127.0.0.1", grpc_server.tls_port)
    assert (one.session.encrypted, one.session.requested) == (None, "")


class Adding(grpc.UnaryUnaryClientInterceptor):
    """Log in, as interceptors of apps do."""

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        details = client_call_details._replace(metadata=list(LOGIN))
        return continuation(details, request)


def test_interceptor_metadata_is_seen_and_no_call_is_doubled(channel: grpc.Channel, recording: Recording) -> None:
    grpc.intercept_channel(channel, Adding()).unary_unary(GET)(b"x")
    assert get_recorded(recording).session.account == "app"


class Passing(grpc.aio.UnaryUnaryClientInterceptor):
    """Do nothing, on asyncio."""

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(client_call_details, request)


def test_asyncios_calls_are_recorded_with_and_without_interceptors(grpc_server: Server, recording: Recording) -> None:
    async def app() -> None:
        for interceptors in ((), (Passing(),)):
            target, secured = grpc_server.tls_url, credentials(grpc_server)
            async with grpc.aio.secure_channel(target, secured, interceptors=interceptors) as channel:
                await channel.unary_unary(GET)(b"x")
                with pytest.raises(grpc.aio.AioRpcError):
                    await channel.unary_unary(GET)(b"missing")
                assert len([one async for one in channel.unary_stream(LIST)(b"20")]) == 20
        async with grpc.aio.insecure_channel(grpc_server.url) as channel:
            call = channel.unary_unary(GET)(b"slow")
            await asyncio.sleep(0.05)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(app())
    statuses = [(one.error, one.rows_returned) for one in recording.calls]
    assert statuses == [*[(None, 1), ("NOT_FOUND", 0), (None, 20)] * 2, ("CANCELLED", 0)]
    assert recording.calls[0].session.verified == "full"


def test_a_stream_of_asyncio_that_the_app_leaves_is_recorded(grpc_server: Server, recording: Recording) -> None:
    async def app() -> None:
        async with grpc.aio.insecure_channel(grpc_server.url) as channel:
            stream = channel.unary_stream(LIST)(b"900")
            assert await stream.read()
            del stream
            gc.collect()
            await asyncio.sleep(0.2)

    asyncio.run(app())
    assert get_recorded(recording).error == "CANCELLED"


def test_an_absent_server_is_reported(recording: Recording) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{free_port()}") as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary(GET)(b"x")
    assert get_recorded(recording).error == "UNAVAILABLE"


def test_the_oldest_version_is_watched_alike(grpc_server: Server) -> None:
    path = os.pathsep.join([str(overlay("grpcio==1.49.1")), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", OLD, str(grpc_server.port), str(grpc_server.tls_port), grpc_server.ca_file],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


OLD = """
import sys
import grpc
assert grpc.__version__ == "1.49.1"
from backwatch.collector.probes.grpc import GrpcProbe
from tests.collector.probes.recording import watching
from tests.contract.exercises import grpc as exercise
from tests.services.server import Server
port, tls_port, ca_file = sys.argv[1:]
server = Server(
    kind="grpc", port=int(port), tls_port=int(tls_port), ca_file=ca_file, url=f"127.0.0.1:{port}",
    tls_url=f"127.0.0.1:{tls_port}",
)
services = {"grpc_server": server}
bare = exercise.calls(services)
with watching(GrpcProbe) as recording:
    assert bare == exercise.calls(services)
recorded = set()
for call in recording.calls:
    recorded |= call.attributes().keys()
assert not GrpcProbe.facts - recorded, GrpcProbe.facts - recorded
"""
