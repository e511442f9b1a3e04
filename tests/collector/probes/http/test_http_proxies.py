"""Behind a TLS proxy: a session's facts are those of the service, not of the proxy."""

import asyncio
import hashlib
import http.client
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3

from backwatch.collector.probes import Probe
from backwatch.collector.probes.aiohttp import AiohttpProbe
from backwatch.collector.probes.http import HttpProbe
from backwatch.collector.probes.httpx import HttpxProbe
from backwatch.collector.probes.httpx2 import Httpx2Probe
from backwatch.collector.probes.urllib3 import Urllib3Probe
from backwatch.collector.runtime.record import Session
from tests.collector.probes.http.proxies import tls_proxy
from tests.collector.probes.http.web import BODY, Web
from tests.collector.probes.recording import watching
from tests.services.authority import Authority

Get = Callable[[str, str, str], bytes]
"""Proxy, URL, the authority's certificate."""


def _urllib3(proxy: str, url: str, ca_file: str) -> bytes:
    context = ssl.create_default_context(cafile=ca_file)
    with urllib3.ProxyManager(proxy, ca_certs=ca_file, proxy_ssl_context=context) as made:
        return made.request("GET", url).data


def _requests(proxy: str, url: str, ca_file: str) -> bytes:
    with requests.Session() as made:
        made.trust_env = False
        return made.get(url, proxies={"http": proxy, "https": proxy}, verify=ca_file).content


def _urllib(proxy: str, url: str, ca_file: str) -> bytes:
    context = ssl.create_default_context(cafile=ca_file)
    made = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": proxy}), urllib.request.HTTPSHandler(context=context)
    )
    with made.open(url) as response:
        return response.read()


def _httpx(library: Any) -> Get:
    def get(proxy: str, url: str, ca_file: str) -> bytes:
        context, to_proxy = ssl.create_default_context(cafile=ca_file), ssl.create_default_context(cafile=ca_file)
        through = library.Proxy(proxy, ssl_context=to_proxy)
        with library.Client(proxy=through, verify=context, trust_env=False) as made:
            return made.get(url).content

    return get


def _httpx_async(library: Any) -> Get:
    def get(proxy: str, url: str, ca_file: str) -> bytes:
        async def app() -> bytes:
            context, to_proxy = ssl.create_default_context(cafile=ca_file), ssl.create_default_context(cafile=ca_file)
            through = library.Proxy(proxy, ssl_context=to_proxy)
            async with library.AsyncClient(proxy=through, verify=context, trust_env=False) as made:
                return (await made.get(url)).content

        return asyncio.run(app())

    return get


def _aiohttp(proxy: str, url: str, ca_file: str) -> bytes:
    async def app() -> bytes:
        context = ssl.create_default_context(cafile=ca_file)
        async with aiohttp.ClientSession() as made, made.get(url, proxy=proxy, ssl=context) as response:
            return await response.read()

    return asyncio.run(app())


CLIENTS: tuple[tuple[str, type[Probe], Get], ...] = (
    ("urllib3", Urllib3Probe, _urllib3),
    ("requests", Urllib3Probe, _requests),
    ("urllib", HttpProbe, _urllib),
    ("httpx", HttpxProbe, _httpx(httpx)),
    ("httpx-async", HttpxProbe, _httpx_async(httpx)),
    ("httpx2", Httpx2Probe, _httpx(httpx2)),
    ("aiohttp", AiohttpProbe, _aiohttp),
)
BY_NAME = [pytest.param(kind, get, id=name) for name, kind, get in CLIENTS]
TUNNELS = [pytest.param(kind, get, id=name) for name, kind, get in CLIENTS if name != "urllib"]  # it has no TLS in TLS


@pytest.fixture
def proxy(ca: Authority) -> Iterator[int]:
    with tls_proxy(ca) as port:
        yield port


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _certificate(session: Session) -> tuple[str, ...]:
    return (session.certificate_sha256, session.not_before, session.not_after, session.issuer, session.subject)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # requests does not verify a proxy for plaintext
@pytest.mark.parametrize(("kind", "get"), BY_NAME)
def test_plaintext_that_a_tls_proxy_forwards_is_recorded_as_plaintext(
    web: Web, proxy: int, kind: type[Probe], get: Get
) -> None:
    with watching(kind) as recording:
        assert get(f"https://127.0.0.1:{proxy}", f"{web.url}/plain", web.ca_file) == BODY
    (recorded,) = recording.of("GET")
    session = recorded.session
    assert (session.address, session.port) == ("127.0.0.1", _port(web.url))
    assert (session.encrypted, session.requested, session.requested_explicit) == (False, "disable", True)
    assert (session.verified, session.tls_version, session.cipher) == ("", "", "")
    assert _certificate(session) == ("",) * 5
    assert (session.peer_address, session.peer_port) == ("127.0.0.1", proxy)
    assert recorded.statement == f"GET 127.0.0.1:{session.port}/plain"


@pytest.mark.parametrize(("kind", "get"), TUNNELS)
def test_a_tunnel_through_a_tls_proxy_reports_the_targets_session(
    web: Web, proxy: int, kind: type[Probe], get: Get
) -> None:
    direct = ssl.get_server_certificate(("127.0.0.1", _port(web.tls_url)), ca_certs=web.ca_file)
    with watching(kind) as recording:
        assert get(f"https://127.0.0.1:{proxy}", f"{web.tls_url}/plain", web.ca_file) == BODY
    (recorded,) = recording.of("GET")
    session = recorded.session
    assert (session.address, session.port) == ("127.0.0.1", _port(web.tls_url))
    assert (session.encrypted, session.requested, session.verified) == (True, "verify-full", "full")
    assert session.tls_version == "1.3"
    assert session.certificate_sha256 == _sha256(direct)
    assert (session.peer_address, session.peer_port) in (("127.0.0.1", proxy), ("", 0))


def _sha256(pem: str) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()


def test_the_connection_to_the_proxy_is_recorded_with_the_proxys_own_session(web: Web, proxy: int) -> None:
    with watching(Urllib3Probe) as recording:
        _urllib3(f"https://127.0.0.1:{proxy}", f"{web.url}/plain", web.ca_file)
    (connect,) = recording.of("connect")
    assert (connect.session.port, connect.session.encrypted, connect.session.verified) == (proxy, True, "full")
    assert connect.session.certificate_sha256


def test_one_proxy_connection_carries_plaintext_and_proxied_tls(web: Web) -> None:
    """If the proxy itself connects to an ``https://`` target, its certificate is not seen and nothing is known."""
    place = web.tls_url.removeprefix("https://")
    with watching(HttpProbe) as recording:
        connection = http.client.HTTPSConnection(place, context=ssl.create_default_context(cafile=web.ca_file))
        for target in ("http://a.example:443/users", "https://a.example/users", f"{web.tls_url}/users", "/users"):
            connection.request("GET", target)
            connection.getresponse().read()
        connection.close()
    recorded = [one.session for one in recording.of("GET")]
    assert [(one.address, one.port) for one in recorded] == [
        ("a.example", 443), ("a.example", 443), *[("127.0.0.1", _port(web.tls_url))] * 2,
    ]  # fmt: skip
    assert [(one.encrypted, one.requested, one.verified, one.certificate_sha256 != "") for one in recorded] == [
        (False, "disable", "", False), (None, "", "", False), *[(True, "verify-full", "full", True)] * 2,
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/web/http://a.example/", "/x://a", "/http://a.example/"])
def test_a_url_in_a_path_is_no_target_of_a_proxys(web: Web, path: str) -> None:
    context = ssl.create_default_context(cafile=web.ca_file)
    with watching(HttpProbe) as recording:
        connection = http.client.HTTPSConnection(web.tls_url.removeprefix("https://"), context=context)
        connection.request("GET", path)
        connection.getresponse().read()
        connection.close()
    (recorded,) = recording.of("GET")
    assert (recorded.session.address, recorded.session.encrypted) == ("127.0.0.1", True)


def test_the_session_beyond_a_forwarding_proxy_is_made_once(web: Web) -> None:
    with watching(HttpProbe) as recording:
        context = ssl.create_default_context(cafile=web.ca_file)
        connection = http.client.HTTPSConnection(web.tls_url.removeprefix("https://"), context=context)
        for _ in range(3):
            connection.request("GET", "http://a.example/users")
            connection.getresponse().read()
        connection.close()
    recorded = [one.session for one in recording.of("GET")]
    assert recorded[1] is recorded[2]
