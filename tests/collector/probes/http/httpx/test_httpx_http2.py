"""httpx over HTTP/2, if its package is installed: many requests share a connection, so volumes are estimates."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import httpx2
import pytest

from backwatch.collector import names
from backwatch.collector.probes.httpx import HttpxProbe
from backwatch.collector.probes.httpx2 import Httpx2Probe
from tests.collector.probes.recording import watching
from tests.services.authority import Authority

h2_connection: Any = pytest.importorskip("h2.connection")
h2_config: Any = pytest.importorskip("h2.config")
h2_events: Any = pytest.importorskip("h2.events")

BODY = b"x" * 10_000


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = h2_connection.H2Connection(h2_config.H2Configuration(client_side=False))
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    while data := await reader.read(65536):
        for event in connection.receive_data(data):
            if isinstance(event, h2_events.DataReceived):
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2_events.StreamEnded):
                connection.send_headers(event.stream_id, [(":status", "200"), ("server", "Two/1")])
                connection.send_data(event.stream_id, BODY, end_stream=True)
        writer.write(connection.data_to_send())
    writer.close()


@contextlib.asynccontextmanager
async def serve(ca: Authority) -> AsyncGenerator[str]:
    certificate = ca.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    context.set_alpn_protocols(["h2"])
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(("library", "probe"), [(httpx, HttpxProbe), (httpx2, Httpx2Probe)], ids=["httpx", "httpx2"])
@pytest.mark.parametrize("waits", [True, False])
def test_requests_that_share_a_connection_have_estimates(
    ca: Authority, library: Any, probe: Any, *, waits: bool
) -> None:
    context = ssl.create_default_context(cafile=ca.ca_file)

    def blocking(url: str) -> list[Any]:
        with library.Client(http2=True, verify=context, trust_env=False) as client:
            return [client.post(f"{url}/orders/7", content=b"z" * 1000) for _ in range(5)]

    async def waiting(url: str) -> list[Any]:
        async with library.AsyncClient(http2=True, verify=context, trust_env=False) as client:
            first = await client.post(f"{url}/orders/7", content=b"z" * 1000)
            return [first, *await asyncio.gather(*[
                client.post(f"{url}/orders/7", content=b"z" * 1000) for _ in range(4)
            ])]  # fmt: skip

    async def app() -> list[Any]:
        async with serve(ca) as url:
            return await (waiting(url) if waits else asyncio.to_thread(blocking, url))

    with watching(probe) as recording:
        answers = asyncio.run(app())
    assert [(one.http_version, one.content) for one in answers] == [("HTTP/2", BODY)] * 5
    assert [one.operation for one in recording.calls] == ["connect"] + ["POST"] * 5
    for one in recording.of("POST"):
        assert one.estimated
        assert 1000 < one.sent < 1500
        assert len(BODY) < one.received < len(BODY) + 100
        assert one.facts == {names.HTTP_METHOD: "POST", names.HTTP_STATUS: 200}
    assert recording.calls[-1].session.server_version == "Two/1"
    assert recording.calls[-1].session.verified == "full"
