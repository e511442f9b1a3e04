"""httpx and httpx2 where a connection, a response, a task or the layer below fails or is missing."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

import httpcore
import httpx
import pytest

from backwatch.collector.probes import Probe
from backwatch.collector.probes.httpx import HttpxProbe
from tests.collector.probes.http.web import BODY, Web, serve_once
from tests.collector.probes.recording import Recording, watching


def test_a_tunnel_that_does_not_stand_is_one_failed_connection(recording: Recording, library: Any, web: Web) -> None:
    with library.Client(proxy=web.url, trust_env=False) as client, pytest.raises(library.ProxyError):
        client.get("https://api.example.com/plain")  # the server knows no CONNECT
    with library.Client(proxy="http://127.0.0.1:1", trust_env=False) as client, pytest.raises(library.ConnectError):
        client.get("https://api.example.com/plain")
    assert [(one.operation, one.session.address, one.session.port) for one in recording.calls] == [
        ("connect", "api.example.com", 443)
    ] * 2
    assert all(one.error is not None and one.session.encrypted is None for one in recording.calls)


def test_a_failed_handshake_is_one_call_and_no_request(recording: Recording, library: Any, web: Web) -> None:
    client = library.Client(trust_env=False, verify=ssl.create_default_context())
    with client, pytest.raises(library.ConnectError):
        client.get(f"{web.tls_url}/plain")
    (recorded,) = recording.calls
    assert (recorded.operation, type(recorded.error).__name__) == ("connect", "SSLCertVerificationError")
    assert (recorded.session.encrypted, recorded.session.requested) == (None, "verify-full")


@pytest.mark.parametrize("waits", [False, True])
def test_a_refused_connection_is_one_call(recording: Recording, library: Any, *, waits: bool) -> None:
    async def app() -> None:
        async with library.AsyncClient(trust_env=False) as client:
            await client.get("http://127.0.0.1:1/")

    with pytest.raises(library.ConnectError):
        asyncio.run(app()) if waits else library.Client(trust_env=False).get("http://127.0.0.1:1/")
    (recorded,) = recording.calls
    assert (recorded.operation, recorded.session.port) == ("connect", 1)


@pytest.mark.parametrize("path", ["/broken", "/silent"])
@pytest.mark.parametrize("waits", [False, True])
def test_a_broken_response_is_recorded(recording: Recording, library: Any, web: Web, path: str, *, waits: bool) -> None:
    async def app() -> None:
        async with library.AsyncClient(trust_env=False) as client:
            await client.get(f"{web.url}{path}")

    with pytest.raises(library.RemoteProtocolError):
        asyncio.run(app()) if waits else library.Client(trust_env=False).get(f"{web.url}{path}")
    (recorded,) = recording.of("GET")
    assert type(recorded.error).__name__ == "RemoteProtocolError"


def test_an_error_that_the_app_is_handling_is_not_the_calls(recording: Recording, client: Any, web: Web) -> None:
    try:
        raise LookupError
    except LookupError:
        client.get(f"{web.url}/plain")
    assert recording.of("GET")[0].error is None


def test_a_unix_socket_has_estimates(recording: Recording, library: Any, web: Web) -> None:
    with library.Client(transport=library.HTTPTransport(uds=web.path)) as client:
        assert client.post("http://localhost/orders/17", content=b"z" * 1000).text == "taken"
    (recorded,) = recording.of("POST")
    assert (recorded.session.address, recorded.session.port, recorded.session.transport) == (web.path, 0, "unix")
    assert recorded.estimated
    assert 1000 < recorded.sent < 1400
    assert 5 < recorded.received < 400


def test_transports_of_the_apps_own_are_no_service(recording: Recording, library: Any) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    async def app() -> bytes:
        async with library.AsyncClient(transport=library.ASGITransport(application), base_url="http://app") as client:
            return (await client.get("/")).content

    def wsgi(_environ: Any, start: Callable[..., Any]) -> list[bytes]:
        start("200 OK", [])
        return [b"hello"]

    assert asyncio.run(app()) == b"hello"
    mock = library.MockTransport(lambda _request: library.Response(200, content=b"hello"))
    for transport in (mock, library.WSGITransport(wsgi)):
        with library.Client(transport=transport, base_url="http://app") as client:
            assert client.get("/").content == b"hello"
    assert recording.calls == []


def test_a_backend_without_a_socket_is_no_service() -> None:
    answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"hello"]
    with watching(HttpxProbe) as recording:
        httpx.HTTPTransport()  # so that the layer below is there
        with httpcore.ConnectionPool(network_backend=httpcore.MockBackend(answer)) as pool:
            assert pool.request("GET", "https://example.com/").content == b"hello"
    assert recording.calls == []


def test_the_layer_below_by_itself_is_recorded(web: Web) -> None:
    with watching(HttpxProbe) as recording, httpcore.ConnectionPool() as pool:
        assert pool.request("GET", f"{web.url}/plain").content == BODY
    assert len(recording.of("GET")) == 1
    assert recording.of("GET")[0].received > len(BODY)


def test_remove_restores_the_layer_below(web: Web) -> None:
    import httpcore._async.http11 as waiting
    import httpcore._sync.connection as connection
    import httpcore._sync.http11 as blocking

    classes = (blocking.HTTP11Connection, waiting.AsyncHTTP11Connection, connection.HTTPConnection)
    before = [dict(vars(one)) for one in classes]
    with watching(HttpxProbe):
        assert [dict(vars(one)) for one in classes] != before
    assert [dict(vars(one)) for one in classes] == before


def test_a_task_that_is_cancelled_breaks_nothing(recording: Recording, library: Any) -> None:
    async def app() -> None:
        async with library.AsyncClient(trust_env=False) as client:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(client.get(f"http://127.0.0.1:{port}/"), 0.3)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        asyncio.run(app())
    assert [one.operation for one in recording.calls] == ["connect", "GET"]
    assert recording.calls[1].error is not None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 302 x\r\nLocation: \xff\xfe\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nServer: " + b"x" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_hostile_responses_change_nothing_for_the_app(library: Any, probe: type[Probe], answer: bytes) -> None:
    def outcome() -> tuple[object, ...]:
        with serve_once(answer) as url, library.Client(trust_env=False, timeout=5) as client:
            try:
                response = client.get(url)
            except library.HTTPError as error:
                return type(error), str(error)
            return response.status_code, response.content

    bare = outcome()
    with watching(probe) as recording:
        assert bare == outcome()
    assert len(recording.of("GET")) == 1
    assert len(recording.calls[-1].session.server_version) <= 80
