"""http.client, and urllib on it: one call per request on the wire, and none that urllib3's probe records."""

import base64
import gc
import http.client
import socket
import ssl
import urllib.error
import urllib.request
import xmlrpc.client

import pytest
import urllib3

from backwatch.collector import names
from backwatch.collector.probes.http import HttpProbe
from backwatch.collector.probes.urllib3 import Urllib3Probe
from tests.collector.probes.http.proxies import connect_proxy
from tests.collector.probes.http.web import BODY, METADATA, Web, serve_once
from tests.collector.probes.recording import Recording, watching

PROBES = (HttpProbe,)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **options: object) -> None:
        return None


def opener(
    web: Web, *more: urllib.request.BaseHandler, proxies: dict[str, str] | None = None
) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=web.ca_file)
    handlers = [urllib.request.ProxyHandler(proxies or {}), urllib.request.HTTPSHandler(context=context)]
    return urllib.request.build_opener(*handlers, *more)


def test_a_session_over_tls_has_all_facts(recording: Recording, web: Web) -> None:
    with opener(web).open(f"{web.tls_url}/plain") as response:
        assert response.read() == BODY
    connect, get = recording.calls
    session = get.session
    assert (connect.operation, get.operation) == ("connect", "GET")
    assert (session.system, session.address, session.port) == ("http", "127.0.0.1", int(web.tls_url.rpartition(":")[2]))
    assert (session.encrypted, session.verified, session.tls_version) == (True, "full", "1.3")
    assert (session.requested, session.requested_explicit) == ("verify-full", True)
    assert (session.peer_address, session.server_version) == ("127.0.0.1", "Test/1 ")
    assert len(session.certificate_sha256) == 64
    assert get.facts == {names.HTTP_METHOD: "GET", names.HTTP_STATUS: 200}
    assert get.statement == f"GET 127.0.0.1:{session.port}/plain"


@pytest.mark.parametrize("check", [True, False])
def test_missing_verification_is_reported(recording: Recording, web: Web, *, check: bool) -> None:
    context = ssl.create_default_context(cafile=web.ca_file)
    context.check_hostname = False
    if not check:
        context.verify_mode = ssl.CERT_NONE
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    direct.open(f"{web.tls_url}/plain").close()
    session = recording.calls[-1].session
    assert (session.requested, session.verified) == (("verify-ca", "chain") if check else ("require", "none"))
    assert session.encrypted


@pytest.mark.parametrize("scheme", ["url", "tls_url", "closing_url", "closing_tls_url"])
@pytest.mark.parametrize(("path", "length"), [("/plain", len(BODY)), ("/chunked", 60_000)])
def test_bytes_include_the_whole_body(recording: Recording, web: Web, scheme: str, path: str, length: int) -> None:
    with opener(web).open(f"{getattr(web, scheme)}{path}") as response:
        assert len(response.read()) == length
    (recorded,) = recording.of("GET")
    assert length < recorded.received < length + 1200
    assert 100 < recorded.sent < 400
    assert len(recording.of("connect")) == 1


def test_a_connection_that_is_kept_is_one_session(recording: Recording, web: Web) -> None:
    connection = http.client.HTTPConnection(web.url.removeprefix("http://"))
    for _ in range(3):
        connection.request("POST", "/orders/17?token=secret", b"z" * 30_000)
        assert connection.getresponse().read() == b"taken"
    connection.close()
    assert len(recording.of("connect")) == 1
    recorded = recording.of("POST")
    assert [30_000 < one.sent < 30_400 and 0 < one.received < 400 for one in recorded] == [True] * 3
    assert recorded[0].statement == f"POST 127.0.0.1:{recorded[0].session.port}/orders/?"


def test_a_request_put_together_by_hand_is_recorded(recording: Recording, web: Web) -> None:
    connection = http.client.HTTPConnection(web.url.removeprefix("http://"))
    connection.putrequest("POST", "/orders/17")
    connection.putheader("Content-Length", "5")
    connection.putheader("Authorization", "Bearer secret")
    connection.endheaders()
    connection.send(b"hello")
    assert connection.getresponse().read() == b"taken"
    connection.close()
    (recorded,) = recording.of("POST")
    assert recorded.session.auth_method == "bearer"
    assert "secret" not in repr(recording.calls)


def test_a_secret_in_the_url_is_reported_without_its_value(recording: Recording, web: Web) -> None:
    opener(web).open(f"{web.url}/plain?api_key=hunter2").close()
    assert [one.facts.get(names.URL_SECRET) for one in recording.of("GET")] == [True]
    assert "hunter2" not in repr(recording.calls)


def test_account_and_method_are_reported_without_the_secret(recording: Recording, web: Web) -> None:
    basic = base64.b64encode(b"ann:secret").decode()
    request = urllib.request.Request(f"{web.url}/plain", headers={"Authorization": f"Basic {basic}"})  # noqa: S310  the test's own server
    opener(web).open(request).close()
    recorded = recording.of("GET")[0].session
    assert (recorded.account, recorded.auth_method) == ("ann", "clear-password")
    assert "secret" not in repr(recording.calls)
    assert basic not in repr(recording.calls)


def test_a_user_in_the_host_is_not_its_address(recording: Recording) -> None:
    connection = http.client.HTTPConnection("ann:secret@127.0.0.1", 1)
    with pytest.raises(OSError):
        connection.request("GET", "/")
    assert recording.calls[0].session.address == "127.0.0.1"
    assert "secret" not in repr(recording.calls)


def test_each_hop_of_a_redirect_is_a_call(recording: Recording, web: Web) -> None:
    with opener(web).open(f"{web.tls_url}/around") as response:
        assert response.read() == BODY
    first, second = recording.of("GET")
    assert first.facts[names.REDIRECT_TARGET] == f"{web.tls_url}/plain"
    assert names.REDIRECT_TARGET not in second.facts


def test_a_redirect_is_recorded_without_secrets(recording: Recording, web: Web) -> None:
    with pytest.raises(urllib.error.HTTPError) as moved:
        opener(web, _Stay()).open(f"{web.tls_url}/redirect")
    assert moved.value.headers["Location"] == METADATA
    moved.value.close()
    (recorded,) = recording.of("GET")
    assert recorded.facts[names.REDIRECT_TARGET] == "http://169.254.169.254/latest/meta-data/"
    assert "secret" not in repr(recording.calls)


def test_a_forwarding_proxy_does_not_hide_the_target(recording: Recording, web: Web) -> None:
    opener(web, proxies={"http": web.url}).open("http://api.example.com/plain").close()
    (recorded,) = recording.of("GET")
    assert (recorded.session.address, recorded.session.port) == ("api.example.com", 80)
    assert (recorded.session.peer_address, recorded.statement) == ("127.0.0.1", "GET api.example.com/plain")


def test_a_tunnel_leads_to_its_far_end(recording: Recording, web: Web) -> None:
    with connect_proxy() as (host, port):
        through = opener(web, proxies={"https": f"http://{host}:{port}"})
        response = through.open(f"{web.tls_url}/plain")
        assert response.read() == BODY
        response.close()
    connect, get = recording.calls
    assert (connect.operation, get.operation) == ("connect", "GET")
    assert get.session.port == int(web.tls_url.rpartition(":")[2])
    assert (get.session.peer_port, get.session.verified) == (port, "full")


def test_a_failed_handshake_is_one_call_and_no_request(recording: Recording, web: Web) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    connection = http.client.HTTPSConnection(
        web.tls_url.removeprefix("https://"), context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/plain")
    with pytest.raises(urllib.error.URLError):
        direct.open("http://127.0.0.1:1/")
    handshake, refused = recording.calls
    assert (handshake.operation, type(handshake.error).__name__) == ("connect", "SSLCertVerificationError")
    assert (handshake.session.encrypted, handshake.session.requested) == (None, "verify-full")
    assert (refused.operation, refused.session.port) == ("connect", 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 999999 x\r\n\r\n",
        b"HTTP/1.1 302 x\r\nLocation: \xff\xfe\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 304 x\r\n" + b"A: b\r\n" * 200,
        b"HTTP/1.1 200 OK\r\nServer: " + b"x" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_hostile_responses_change_nothing_for_the_app(answer: bytes) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())

    def outcome() -> tuple[object, ...]:
        with serve_once(answer) as url:
            try:
                with direct.open(url, timeout=5) as response:
                    return response.status, response.read()
            except (OSError, http.client.HTTPException, ValueError) as error:
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                return type(error), str(error)

    bare = outcome()
    with watching(HttpProbe) as recording:
        assert bare == outcome()
        gc.collect()
    assert len(recording.of("GET")) == 1
    assert len(recording.calls[-1].session.server_version) <= 80


def test_an_unread_response_is_recorded_when_the_probe_is_removed(web: Web) -> None:
    connection = http.client.HTTPConnection(web.url.removeprefix("http://"))
    with watching(HttpProbe) as recording:
        connection.request("GET", "/plain")
    assert len(recording.of("GET")) == 1
    assert connection.getresponse().read() == BODY
    connection.close()
    assert len(recording.calls) == 2


def test_an_unread_response_is_recorded_when_dropped(recording: Recording, web: Web) -> None:
    response = opener(web).open(f"{web.url}/plain")
    assert recording.of("GET") == []
    del response
    gc.collect()
    assert len(recording.of("GET")) == 1


def test_a_class_that_connects_by_itself_is_recorded(recording: Recording, web: Web) -> None:
    class Own(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.create_connection((self.host, self.port))

    connection = Own(web.url.removeprefix("http://"))
    connection.request("GET", "/plain")
    assert connection.getresponse().read() == BODY
    connection.close()
    (recorded,) = recording.calls
    assert (recorded.session.peer_address, recorded.session.encrypted) == ("127.0.0.1", False)
    assert recorded.received > len(BODY)


def test_xml_rpc_goes_through_here(recording: Recording, web: Web) -> None:
    with xmlrpc.client.ServerProxy(f"{web.url}/RPC2") as proxy, pytest.raises(Exception):  # noqa: B017  no XML-RPC server
        proxy.nothing()
    assert len(recording.of("POST")) == 1


def test_a_misused_connection_is_no_call(recording: Recording) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", 1)
    with pytest.raises(http.client.CannotSendHeader):
        connection.endheaders()
    with pytest.raises(http.client.ResponseNotReady):
        connection.getresponse()
    assert recording.calls == []


def test_requests_of_urllib3_are_recorded_once_by_its_own_probe(recording: Recording, web: Web) -> None:
    with watching(Urllib3Probe) as of_urllib3, urllib3.PoolManager(ca_certs=web.ca_file) as pool:
        pool.request("GET", f"{web.tls_url}/plain")
        with opener(web).open(f"{web.url}/plain") as response:
            assert response.read() == BODY
    assert [one.operation for one in of_urllib3.calls] == ["connect", "GET"]
    assert [one.operation for one in recording.calls] == ["connect", "GET"]
    assert (of_urllib3.calls[0].session.encrypted, recording.calls[0].session.encrypted) == (True, False)
