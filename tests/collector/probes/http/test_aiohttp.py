"""aiohttp's client: one call per request on the wire, recorded when its connection is given back."""

import asyncio
import base64
import hashlib
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import aiohttp
import aiohttp.web
import pytest

from backwatch.collector import names
from backwatch.collector.probes.aiohttp import AiohttpProbe
from tests.collector.probes.http.proxies import connect_proxy
from tests.collector.probes.http.web import BODY, METADATA, Web, serve_once
from tests.collector.probes.recording import Recording, watching
from tests.services.process import ROOT

PROBES = (AiohttpProbe,)
App = Callable[[aiohttp.ClientSession], Coroutine[Any, Any, Any]]


def run(app: App, **options: Any) -> Any:
    """Return the result of ``app``, with a separate session."""

    async def whole() -> Any:
        options_now = {name: made() if name == "connector" else made for name, made in options.items()}
        async with aiohttp.ClientSession(**options_now) as session:
            return await app(session)

    return asyncio.run(whole())


def read_url(url: str, times: int = 1, **options: Any) -> App:
    """Read ``url`` so many times."""

    async def app(session: aiohttp.ClientSession) -> list[bytes]:
        read: list[bytes] = []
        for _ in range(times):
            async with session.get(url, **options) as response:
                read.append(await response.read())
        return read

    return app


def test_a_session_over_tls_has_all_facts(recording: Recording, context: ssl.SSLContext, web: Web) -> None:
    assert run(read_url(f"{web.tls_url}/plain", ssl=context)) == [BODY]
    connect, get = recording.calls
    session = get.session
    assert (connect.operation, get.operation) == ("connect", "GET")
    assert (session.system, session.address, session.port) == ("http", "127.0.0.1", int(web.tls_url.rpartition(":")[2]))
    assert (session.encrypted, session.verified, session.tls_version) == (True, "full", "1.3")
    assert (session.requested, session.requested_explicit) == ("verify-full", True)
    assert (session.peer_address, session.server_version.strip()) == ("127.0.0.1", "Test/1")
    assert len(session.certificate_sha256) == 64
    assert get.facts == {names.HTTP_METHOD: "GET", names.HTTP_STATUS: 200}
    assert get.statement == f"GET 127.0.0.1:{session.port}/plain"
    assert get.caller is not None
    assert get.caller.site is not None
    assert get.caller.site.function.endswith("app")


def _fingerprint(web: Web) -> aiohttp.Fingerprint:
    host, _, port = web.tls_url.removeprefix("https://").partition(":")
    pem = ssl.get_server_certificate((host, int(port)))
    return aiohttp.Fingerprint(hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest())


def _lax(web: Web, *, chain: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=web.ca_file)
    context.check_hostname = False
    if not chain:
        context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize(
    ("make", "recorded"),
    [
        (lambda _web: False, ("require", "none")),
        (lambda web: _lax(web, chain=False), ("require", "none")),
        (lambda web: _lax(web, chain=True), ("verify-ca", "chain")),
        (_fingerprint, ("verify-full", "full")),
    ],
    ids=["off", "lax", "chain", "fingerprint"],
)
@pytest.mark.parametrize("of_the_connector", [True, False])
def test_verification_is_reported(
    recording: Recording, web: Web, make: Callable[[Web], Any], recorded: tuple[str, str], *, of_the_connector: bool
) -> None:
    asked = make(web)
    if of_the_connector:
        run(read_url(f"{web.tls_url}/plain"), connector=lambda: aiohttp.TCPConnector(ssl=asked))
    else:
        run(read_url(f"{web.tls_url}/plain", ssl=asked))
    session = recording.calls[-1].session
    assert (session.requested, session.verified, session.encrypted) == (*recorded, True)


def test_certificate_other_than_the_pinned_one_fails_the_connection(recording: Recording, web: Web) -> None:
    with pytest.raises(aiohttp.ServerFingerprintMismatch):
        run(read_url(f"{web.tls_url}/plain", ssl=aiohttp.Fingerprint(b"x" * 32)))
    (recorded,) = recording.calls
    assert (recorded.operation, type(recorded.error).__name__) == ("connect", "ServerFingerprintMismatch")
    assert (recorded.session.encrypted, recorded.session.requested) == (None, "verify-full")


@pytest.mark.parametrize("scheme", ["url", "tls_url", "closing_url", "closing_tls_url"])
@pytest.mark.parametrize(("path", "length"), [("/plain", len(BODY)), ("/gzip", 70)])
def test_bytes_include_the_whole_body(
    recording: Recording, context: ssl.SSLContext, web: Web, scheme: str, path: str, length: int
) -> None:
    assert run(read_url(f"{getattr(web, scheme)}{path}", 3, ssl=context)) == [BODY] * 3
    recorded = recording.of("GET")
    assert len(recorded) == 3
    assert all(length < one.received < length + 1200 for one in recorded)
    assert all(100 < one.sent < 500 for one in recorded)
    assert len(recording.of("connect")) == (3 if "closing" in scheme else 1)


def test_chunks_are_counted_to_the_last(recording: Recording, web: Web) -> None:
    assert len(run(read_url(f"{web.url}/chunked"))[0]) == 60_000
    assert 60_000 < recording.of("GET")[0].received < 60_400


def test_a_body_sent_in_parts_is_counted(recording: Recording, web: Web) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"z" * 10_000

    async def app(session: aiohttp.ClientSession) -> str:
        async with session.post(f"{web.url}/orders/17", data=parts()) as response:
            return await response.text()

    assert run(app) == "taken"
    (recorded,) = recording.of("POST")
    assert 30_000 < recorded.sent < 30_500
    assert recorded.statement == f"POST 127.0.0.1:{recorded.session.port}/orders/?"


def test_a_call_is_recorded_when_its_body_has_been_read(recording: Recording, web: Web) -> None:
    async def app(session: aiohttp.ClientSession) -> None:
        async with session.get(f"{web.url}/big") as response:
            assert recording.of("GET") == []
            async for _ in response.content.iter_chunked(1000):
                pass
            assert len(recording.of("GET")) == 1

    run(app)
    assert len(recording.of("GET")) == 1


def test_an_unread_response_is_recorded_when_dropped(recording: Recording, web: Web) -> None:
    async def app(session: aiohttp.ClientSession) -> None:
        async with session.get(f"{web.url}/big"):
            pass
        response = await session.get(f"{web.url}/big")
        response.close()

    run(app)
    recorded = recording.of("GET")
    assert [one.error for one in recorded] == [None] * 2


def test_calls_without_their_body_are_recorded_when_the_probe_is_removed(web: Web) -> None:
    async def app(session: aiohttp.ClientSession) -> Recording:
        with watching(AiohttpProbe) as recording:
            response = await session.get(f"{web.url}/big")
        assert len(recording.of("GET")) == 1
        assert len(await response.read()) == 100 * len(BODY)
        return recording

    assert len(run(app).calls) == 2


def test_both_sizes_of_a_compressed_body_are_reported(recording: Recording, web: Web) -> None:
    run(read_url(f"{web.url}/gzip"))
    (recorded,) = recording.of("GET")
    assert recorded.facts[names.PAYLOAD_SIZE] == len(BODY)
    assert recorded.facts[names.PAYLOAD_WIRE] < 200  # type: ignore[operator]


def test_packed_body_is_not_reported_as_unpacked(recording: Recording, web: Web) -> None:
    assert len(run(read_url(f"{web.url}/gzip"), auto_decompress=False)[0]) < 200
    assert names.PAYLOAD_SIZE not in recording.of("GET")[0].facts


def test_redirects_are_recorded_hop_by_hop_and_without_secrets(
    recording: Recording, context: ssl.SSLContext, web: Web
) -> None:
    async def app(session: aiohttp.ClientSession) -> None:
        async with session.get(f"{web.tls_url}/around", ssl=context) as response:
            assert await response.read() == BODY
        async with session.get(f"{web.tls_url}/redirect", ssl=context, allow_redirects=False) as response:
            assert response.headers["Location"] == METADATA

    run(app)
    first, second, third = recording.of("GET")
    assert first.facts[names.REDIRECT_TARGET] == f"{web.tls_url}/plain"
    assert names.REDIRECT_TARGET not in second.facts
    assert third.facts[names.REDIRECT_TARGET] == "http://169.254.169.254/latest/meta-data/"
    assert "secret" not in repr(recording.calls)


def test_a_secret_in_the_url_is_reported_without_its_value(recording: Recording, web: Web) -> None:
    async def app(session: aiohttp.ClientSession) -> None:
        for params in ({"api_key": "hunter2"}, {"base": "EUR"}):
            async with session.get(f"{web.url}/plain", params=params):
                pass

    run(app)
    assert [one.facts.get(names.URL_SECRET) for one in recording.of("GET")] == [True, None]
    assert "hunter2" not in repr(recording.calls)


def test_account_and_method_are_reported_without_the_secret(recording: Recording, web: Web) -> None:
    host = web.url.removeprefix("http://")

    async def app(session: aiohttp.ClientSession) -> None:
        async with session.get(f"http://ann:secret@{host}/plain"):
            pass
        async with session.get(f"{web.url}/plain", headers={"Authorization": "Bearer secret"}):
            pass

    run(app)
    assert [(one.session.account, one.session.auth_method) for one in recording.of("GET")] == [
        ("ann", "clear-password"), ("", "bearer"),
    ]  # fmt: skip
    assert "secret" not in repr(recording.calls)
    assert base64.b64encode(b"ann:secret").decode() not in repr(recording.calls)


def test_a_forwarding_proxy_does_not_hide_the_target(recording: Recording, web: Web) -> None:
    run(read_url("http://api.example.com/plain", proxy=web.url))
    (recorded,) = recording.of("GET")
    assert (recorded.session.address, recorded.session.port) == ("api.example.com", 80)
    assert (recorded.session.peer_address, recorded.statement) == ("127.0.0.1", "GET api.example.com/plain")


def test_a_tunnel_leads_to_its_far_end(recording: Recording, context: ssl.SSLContext, web: Web) -> None:
    with connect_proxy() as (host, port):
        run(read_url(f"{web.tls_url}/plain", 2, ssl=context, proxy=f"http://{host}:{port}"))
    connect, get, again = recording.calls
    assert (connect.operation, get.operation, again.operation) == ("connect", "GET", "GET")
    assert {one.session.port for one in recording.calls} == {int(web.tls_url.rpartition(":")[2])}
    assert (get.session.peer_port, get.session.verified) == (port, "full")
    assert len(BODY) < again.received < len(BODY) + 400


def test_connections_that_fail_are_one_call_each(recording: Recording, web: Web) -> None:
    attempts: tuple[tuple[str, dict[str, Any]], ...] = (
        (f"{web.tls_url}/plain", {"ssl": ssl.create_default_context()}),
        ("http://127.0.0.1:1/", {}),
        ("https://api.example.com/", {"proxy": "http://127.0.0.1:1"}),
        ("https://api.example.com/", {"proxy": web.url}),
    )
    for url, options in attempts:
        with pytest.raises(aiohttp.ClientError):
            run(read_url(url, **options))
    assert [one.operation for one in recording.calls] == ["connect"] * 4
    assert type(recording.calls[0].error).__name__ == "SSLCertVerificationError"
    assert [one.session.address for one in recording.calls[2:]] == ["api.example.com"] * 2
    assert all(one.session.encrypted is None for one in recording.calls)


@pytest.mark.parametrize("path", ["/broken", "/silent"])
def test_a_broken_response_is_recorded(recording: Recording, web: Web, path: str) -> None:
    with pytest.raises(aiohttp.ClientError):
        run(read_url(f"{web.url}{path}"))
    recorded = recording.of("GET")
    assert all(one.error is not None for one in recorded)
    assert len(recorded) >= 1


def test_a_unix_socket_has_estimates(recording: Recording, web: Web) -> None:
    async def app(session: aiohttp.ClientSession) -> str:
        async with session.post("http://localhost/orders/17", data=b"z" * 1000) as response:
            return await response.text()

    assert run(app, connector=lambda: aiohttp.UnixConnector(web.path)) == "taken"
    (recorded,) = recording.of("POST")
    assert (recorded.session.address, recorded.session.port, recorded.session.transport) == (web.path, 0, "unix")
    assert recorded.estimated
    assert 1000 < recorded.sent < 1400
    assert 5 < recorded.received < 400


async def _echo(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
    socket = aiohttp.web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


def test_a_websocket_is_one_call_and_the_server_none(recording: Recording) -> None:
    async def app() -> None:
        application = aiohttp.web.Application()
        application.router.add_get("/ws/{room}", _echo)
        runner = aiohttp.web.AppRunner(application)
        await runner.setup()
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        url = f"http://127.0.0.1:{port}/ws/17"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            assert recording.of("GET")[0].facts[names.HTTP_STATUS] == 101
            for word in ("one", "two"):
                await socket.send_str(word)
                assert (await socket.receive()).data == word
        await runner.cleanup()

    asyncio.run(app())
    assert [one.operation for one in recording.calls] == ["connect", "GET"]
    assert recording.calls[1].statement.endswith("/ws/?")


def test_many_at_once_are_recorded_apart(recording: Recording, web: Web) -> None:
    async def app(session: aiohttp.ClientSession) -> None:
        one = read_url(f"{web.url}/plain", 5)
        for read in await asyncio.gather(*[one(session) for _ in range(8)]):
            assert read == [BODY] * 5

    run(app)
    recorded = recording.of("GET")
    assert len(recorded) == 40
    assert all(len(BODY) < one.received < len(BODY) + 300 for one in recorded)


def test_a_task_that_is_cancelled_breaks_nothing(recording: Recording) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(TimeoutError):
            run(read_url(url, timeout=aiohttp.ClientTimeout(total=0.3)))
    assert [one.operation for one in recording.calls] == ["connect", "GET"]
    assert recording.calls[1].error is not None


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 302 x\r\nLocation: \xff\xfe\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nServer: " + b"x" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_hostile_responses_change_nothing_for_the_app(answer: bytes) -> None:
    def outcome() -> tuple[object, ...]:
        with serve_once(answer) as url:
            try:
                return tuple(run(read_url(url)))
            except (aiohttp.ClientError, ValueError) as error:
                return type(error), str(error).partition("127.0.0.1")[0]

    bare = outcome()
    with watching(AiohttpProbe) as recording:
        assert bare == outcome()
    assert len(recording.of("GET")) == 1
    assert len(recording.calls[-1].session.server_version) <= 80


def test_the_parser_in_python_is_recorded_alike() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "compressed or bytes"],
        env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout
