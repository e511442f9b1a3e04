"""httpx and httpx2 over httpcore: one call per request on the wire, recorded when its body's stream is closed."""

import asyncio
import base64
import ssl
import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from backwatch.collector import names
from backwatch.collector.probes import Probe
from tests.collector.probes.http.proxies import connect_proxy
from tests.collector.probes.http.web import BODY, METADATA, Web
from tests.collector.probes.recording import Recording, watching


def test_a_session_over_tls_has_all_facts(recording: Recording, client: Any, web: Web) -> None:
    client.get(f"{web.tls_url}/plain")
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
    assert get.caller.site.function == "test_a_session_over_tls_has_all_facts"


def test_an_asynchronous_session_has_the_same_facts(
    recording: Recording, library: Any, context: ssl.SSLContext, web: Web
) -> None:
    async def app() -> None:
        async with library.AsyncClient(verify=context, trust_env=False) as client:
            for _ in range(2):
                assert (await client.get(f"{web.tls_url}/plain")).content == BODY

    asyncio.run(app())
    connect, first, second = recording.calls
    assert (connect.operation, first.operation, second.operation) == ("connect", "GET", "GET")
    session = second.session
    assert (session.encrypted, session.verified, session.peer_address) == (True, "full", "127.0.0.1")
    assert len(BODY) < second.received < len(BODY) + 400
    assert second.caller is not None
    assert second.caller.site is not None
    assert second.caller.site.function.endswith("app")


@pytest.mark.parametrize("check", [True, False])
def test_missing_verification_is_reported(
    recording: Recording, library: Any, context: ssl.SSLContext, web: Web, *, check: bool
) -> None:
    context.check_hostname = False
    if not check:
        context.verify_mode = ssl.CERT_NONE
    with library.Client(verify=context, trust_env=False) as client:
        client.get(f"{web.tls_url}/plain")
    session = recording.calls[-1].session
    assert (session.requested, session.verified) == (("verify-ca", "chain") if check else ("require", "none"))
    assert session.encrypted


@pytest.mark.parametrize("scheme", ["url", "tls_url", "closing_url", "closing_tls_url"])
@pytest.mark.parametrize(("path", "length"), [("/plain", len(BODY)), ("/chunked", 60_000)])
@pytest.mark.parametrize("waits", [False, True])
def test_bytes_include_the_whole_body(
    recording: Recording, library: Any, context: ssl.SSLContext, web: Web, scheme: str, path: str, length: int,
    *, waits: bool,
) -> None:  # fmt: skip
    url = f"{getattr(web, scheme)}{path}"

    async def app() -> None:
        async with library.AsyncClient(verify=context, trust_env=False) as client:
            for _ in range(3):
                assert len((await client.get(url)).content) == length

    if waits:
        asyncio.run(app())
    else:
        with library.Client(verify=context, trust_env=False) as client:
            for _ in range(3):
                assert len(client.get(url).content) == length
    recorded = recording.of("GET")
    assert len(recorded) == 3
    assert all(length < one.received < length + 1200 for one in recorded)
    assert all(100 < one.sent < 500 for one in recorded)
    assert len(recording.of("connect")) == (3 if "closing" in scheme else 1)


def test_a_body_sent_in_parts_is_counted(recording: Recording, client: Any, web: Web) -> None:
    client.post(f"{web.url}/orders/17", content=iter([b"z" * 10_000] * 3))
    (recorded,) = recording.of("POST")
    assert 30_000 < recorded.sent < 30_500
    assert recorded.statement == f"POST 127.0.0.1:{recorded.session.port}/orders/?"


def test_a_call_is_recorded_when_its_body_has_been_read(recording: Recording, client: Any, web: Web) -> None:
    with client.stream("GET", f"{web.url}/plain") as response:
        assert recording.of("GET") == []
        for _ in response.iter_bytes(1000):
            pass
        assert len(recording.of("GET")) == 1
    assert len(recording.of("GET")) == 1


def test_a_response_that_is_closed_early_is_recorded(recording: Recording, client: Any, web: Web) -> None:
    with client.stream("GET", f"{web.url}/plain") as response:
        next(response.iter_bytes(10))
    (recorded,) = recording.of("GET")
    assert recorded.error is None


def test_calls_without_their_body_are_recorded_when_the_probe_is_removed(
    library: Any, probe: type[Probe], web: Web
) -> None:
    with library.Client(trust_env=False) as client:
        with watching(probe) as recording:
            response = client.send(client.build_request("GET", f"{web.url}/plain"), stream=True)
        assert len(recording.of("GET")) == 1
        assert response.read() == BODY
        assert len(recording.calls) == 2


@pytest.mark.parametrize("waits", [False, True])
def test_both_sizes_of_a_compressed_body_are_reported(
    recording: Recording, library: Any, web: Web, *, waits: bool
) -> None:
    async def app() -> None:
        async with library.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"{web.url}/gzip")).content == BODY

    if waits:
        asyncio.run(app())
    else:
        with library.Client(trust_env=False) as client:
            assert client.get(f"{web.url}/gzip").content == BODY
    (recorded,) = recording.of("GET")
    assert recorded.facts[names.PAYLOAD_SIZE] == len(BODY)
    assert recorded.facts[names.PAYLOAD_WIRE] < 200  # type: ignore[operator]


def test_a_raw_body_is_not_unpacked(recording: Recording, client: Any, web: Web) -> None:
    with client.stream("GET", f"{web.url}/gzip") as response:
        assert len(b"".join(response.iter_raw())) < 200
    assert names.PAYLOAD_SIZE not in recording.of("GET")[0].facts


def test_a_redirect_is_recorded_at_once_and_without_secrets(recording: Recording, client: Any, web: Web) -> None:
    with client.stream("GET", f"{web.tls_url}/redirect") as response:
        (recorded,) = recording.of("GET")
        assert response.headers["Location"] == METADATA
    assert recorded.facts[names.REDIRECT_TARGET] == "http://169.254.169.254/latest/meta-data/"
    assert recorded.facts[names.HTTP_STATUS] == 302
    assert "secret" not in repr(recording.calls)
    assert len(recording.of("GET")) == 1


def test_each_hop_of_a_redirect_is_a_call(recording: Recording, client: Any, web: Web) -> None:
    assert client.get(f"{web.tls_url}/around", follow_redirects=True).content == BODY
    first, second = recording.of("GET")
    assert first.facts[names.REDIRECT_TARGET] == f"{web.tls_url}/plain"
    assert names.REDIRECT_TARGET not in second.facts


def test_a_secret_in_the_url_is_reported_without_its_value(recording: Recording, client: Any, web: Web) -> None:
    client.get(f"{web.url}/plain", params={"api_key": "hunter2"})
    client.get(f"{web.url}/plain", params={"base": "EUR"})
    assert [one.facts.get(names.URL_SECRET) for one in recording.of("GET")] == [True, None]
    assert "hunter2" not in repr(recording.calls)


def test_account_and_method_are_reported_without_the_secret(recording: Recording, client: Any, web: Web) -> None:
    host = web.url.removeprefix("http://")
    client.get(f"http://ann:secret@{host}/plain")
    client.get(f"{web.url}/plain", headers={"Authorization": "Bearer secret"})
    client.get(f"{web.url}/plain")
    recorded = [(one.session.account, one.session.auth_method) for one in recording.of("GET")]
    assert recorded == [("ann", "clear-password"), ("", "bearer"), ("", "")]
    assert "secret" not in repr(recording.calls)
    assert base64.b64encode(b"ann:secret").decode() not in repr(recording.calls)


def test_a_forwarding_proxy_does_not_hide_the_target(recording: Recording, library: Any, web: Web) -> None:
    with library.Client(proxy=web.url, trust_env=False) as client:
        client.get("http://api.example.com/plain")
    (recorded,) = recording.of("GET")
    assert (recorded.session.address, recorded.session.port) == ("api.example.com", 80)
    assert (recorded.session.peer_address, recorded.statement) == ("127.0.0.1", "GET api.example.com/plain")


@pytest.mark.parametrize("waits", [False, True])
def test_a_tunnel_leads_to_its_far_end(
    recording: Recording, library: Any, context: ssl.SSLContext, web: Web, *, waits: bool
) -> None:
    async def app(proxy: str) -> None:
        async with library.AsyncClient(proxy=proxy, verify=context, trust_env=False) as client:
            for _ in range(2):
                assert (await client.get(f"{web.tls_url}/plain")).content == BODY

    with connect_proxy() as (host, port):
        if waits:
            asyncio.run(app(f"http://{host}:{port}"))
        else:
            with library.Client(proxy=f"http://{host}:{port}", verify=context, trust_env=False) as client:
                for _ in range(2):
                    assert client.get(f"{web.tls_url}/plain").content == BODY
    connect, get, again = recording.calls
    assert (connect.operation, get.operation, again.operation) == ("connect", "GET", "GET")
    assert {one.session.port for one in recording.calls} == {int(web.tls_url.rpartition(":")[2])}
    assert (get.session.peer_port, get.session.verified) == (port, "full")
    assert connect.received > 500
    assert len(BODY) < again.received < len(BODY) + 400


def test_trio_gives_the_same_facts(recording: Recording, library: Any, context: ssl.SSLContext, web: Web) -> None:
    pytest.importorskip("trio")

    async def app() -> None:
        async with library.AsyncClient(verify=context, trust_env=False) as client:
            assert (await client.get(f"{web.tls_url}/plain")).content == BODY

    anyio.run(app, backend="trio")
    assert recording.of("GET")[0].session.verified == "full"


def test_threads_share_a_client(recording: Recording, client: Any, web: Web) -> None:
    def work() -> None:
        for _ in range(20):
            assert client.get(f"{web.url}/plain").content == BODY

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorded = recording.of("GET")
    assert len(recorded) == 80
    assert all(len(BODY) < one.received < len(BODY) + 300 for one in recorded)


async def parts() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b"z" * 100


def test_an_asynchronous_body_is_sent_as_ever(recording: Recording, library: Any, web: Web) -> None:
    async def app() -> str:
        async with library.AsyncClient(trust_env=False) as client:
            return (await client.post(f"{web.url}/orders/1", content=parts())).text

    assert asyncio.run(app()) == "taken"
    assert recording.of("POST")[0].sent > 300
