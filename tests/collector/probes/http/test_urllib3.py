"""urllib3: one call per request on the wire, recorded with all its bytes once the body has been read."""

import base64
import contextlib
import gc
import http.client
import os
import subprocess
import sys
import threading
import urllib.request
from typing import Any
from unittest.mock import MagicMock

import pytest
import urllib3

from backwatch.collector import names
from backwatch.collector.probes.urllib3 import Urllib3Probe
from backwatch.collector.session.tls import read_tls_facts
from tests.collector.probes.http.web import BODY, METADATA, Web, serve_once
from tests.collector.probes.recording import Recording, watching
from tests.services.overlays import overlay
from tests.services.process import ROOT

PROBES = (Urllib3Probe,)


def test_a_session_over_tls_has_all_facts(recording: Recording, pool: urllib3.PoolManager, web: Web) -> None:
    pool.request("GET", f"{web.tls_url}/plain")
    connect, get = recording.calls
    session = get.session
    assert (connect.operation, get.operation) == ("connect", "GET")
    assert (session.system, session.address, session.port) == ("http", "127.0.0.1", int(web.tls_url.rpartition(":")[2]))
    assert (session.encrypted, session.verified, session.tls_version) == (True, "full", "1.3")
    assert (session.requested, session.requested_explicit) == ("verify-full", True)
    assert (session.peer_address, session.server_version) == ("127.0.0.1", "Test/1 ")
    assert len(session.certificate_sha256) == 64
    assert get.facts == {names.HTTP_METHOD: "GET", names.HTTP_STATUS: 200}


def test_plain_http_is_reported_as_requested(recording: Recording, pool: urllib3.PoolManager, web: Web) -> None:
    pool.request("GET", f"{web.url}/plain")
    session = recording.calls[-1].session
    assert (session.encrypted, session.requested, session.requested_explicit) == (False, "disable", True)


@pytest.mark.parametrize(
    ("options", "requested", "verified"),
    [
        ({"cert_reqs": "CERT_NONE"}, "require", "none"),
        ({"cert_reqs": "CERT_REQUIRED", "assert_hostname": False}, "verify-ca", "chain"),
    ],
)
def test_missing_verification_is_reported(
    recording: Recording, web: Web, options: dict[str, Any], requested: str, verified: str
) -> None:
    with (
        urllib3.PoolManager(ca_certs=web.ca_file, **options) as pool,
        pytest.warns() if verified == "none" else contextlib.nullcontext(),
    ):
        pool.request("GET", f"{web.tls_url}/plain")
    session = recording.calls[-1].session
    assert (session.requested, session.verified, session.encrypted) == (requested, verified, True)


def test_a_failed_handshake_is_one_call_and_no_request(recording: Recording, web: Web) -> None:
    with urllib3.PoolManager(retries=False) as pool, pytest.raises(urllib3.exceptions.SSLError):
        pool.request("GET", f"{web.tls_url}/plain")
    (recorded,) = recording.calls
    assert (recorded.operation, type(recorded.error).__name__) == ("connect", "SSLCertVerificationError")
    assert (recorded.session.encrypted, recorded.session.requested) == (None, "verify-full")


def test_a_refused_connection_is_one_call(recording: Recording) -> None:
    with urllib3.PoolManager(retries=False) as pool, pytest.raises(urllib3.exceptions.HTTPError):
        pool.request("GET", "http://127.0.0.1:1/")
    (recorded,) = recording.calls
    assert (recorded.operation, recorded.session.port) == ("connect", 1)


@pytest.mark.parametrize("scheme", ["url", "tls_url", "closing_url", "closing_tls_url"])
@pytest.mark.parametrize("path", ["/plain", "/chunked"])
@pytest.mark.parametrize("preload", [True, False])
def test_bytes_include_the_whole_body(
    recording: Recording, pool: urllib3.PoolManager, web: Web, scheme: str, path: str, *, preload: bool
) -> None:
    length = len(BODY) if path == "/plain" else 60_000
    for _ in range(3):
        response = pool.request("GET", f"{getattr(web, scheme)}{path}", preload_content=preload)
        assert len(response.data) == length
    recorded = recording.of("GET")
    assert len(recorded) == 3
    assert all(length < one.received < length + 1200 for one in recorded)
    assert all(100 < one.sent < 400 for one in recorded)
    assert len(recording.of("connect")) == (3 if "closing" in scheme else 1)


def test_a_body_sent_is_counted(recording: Recording, pool: urllib3.PoolManager, web: Web) -> None:
    pool.request("POST", f"{web.url}/orders/17", body=b"z" * 30_000)
    recorded = recording.of("POST")[0]
    assert 30_000 < recorded.sent < 30_400
    assert 0 < recorded.received < 400
    assert recorded.statement == f"POST 127.0.0.1:{recorded.session.port}/orders/?"


def test_a_call_is_recorded_when_its_body_has_been_read(
    recording: Recording, pool: urllib3.PoolManager, web: Web
) -> None:
    response = pool.request("GET", f"{web.url}/plain", preload_content=False)
    assert recording.of("GET") == []
    for _ in response.stream(1000):
        pass
    assert len(recording.of("GET")) == 1


def test_a_response_that_is_closed_early_is_recorded(recording: Recording, pool: urllib3.PoolManager, web: Web) -> None:
    response = pool.request("GET", f"{web.url}/plain", preload_content=False)
    response.read(10)
    response.close()
    assert len(recording.of("GET")) == 1


def test_an_unread_response_is_recorded_when_dropped(recording: Recording, pool: urllib3.PoolManager, web: Web) -> None:
    response = pool.request("GET", f"{web.url}/plain", preload_content=False)
    response.release_conn()
    assert len(recording.of("GET")) == 1
    response = pool.request("HEAD", f"{web.tls_url}/plain", preload_content=False)
    del response
    gc.collect()
    assert len(recording.of("HEAD")) == 1


def test_calls_without_their_body_are_recorded_when_the_probe_is_removed(pool: urllib3.PoolManager, web: Web) -> None:
    with watching(Urllib3Probe) as recording:
        response = pool.request("GET", f"{web.url}/plain", preload_content=False)
    assert len(recording.of("GET")) == 1
    assert response.read() == BODY
    assert len(recording.calls) == 2


def test_a_redirect_is_recorded_at_once_and_without_secrets(
    recording: Recording, pool: urllib3.PoolManager, web: Web
) -> None:
    response = pool.request("GET", f"{web.tls_url}/redirect", redirect=False, preload_content=False)
    (recorded,) = recording.of("GET")
    assert recorded.facts[names.REDIRECT_TARGET] == "http://169.254.169.254/latest/meta-data/"
    assert recorded.facts[names.HTTP_STATUS] == 302
    assert response.headers["Location"] == METADATA
    assert response.read() == b"moved"
    assert "secret" not in repr(recording.calls)
    assert len(recording.of("GET")) == 1


def test_each_hop_of_a_redirect_is_a_call(recording: Recording, web: Web) -> None:
    with urllib3.PoolManager(ca_certs=web.ca_file) as pool:
        assert pool.request("GET", f"{web.tls_url}/around").data == BODY
    first, second = recording.of("GET")
    assert first.facts[names.REDIRECT_TARGET] == f"{web.tls_url}/plain"
    assert names.REDIRECT_TARGET not in second.facts


@pytest.mark.parametrize(
    ("location", "recorded"),
    [
        ("file:///etc/passwd", "file:///etc/passwd"),
        ("gopher://10.0.0.1:70/x", "gopher://10.0.0.1:70/x"),
        ("//internal.example/a", "http://internal.example/a"),
        ("http://[::1]:8080/", "http://[::1]:8080/"),
        ("http://[broken", "?"),
    ],
)
def test_a_redirect_to_anywhere_is_recorded(recording: Recording, location: str, recorded: str) -> None:
    answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    with serve_once(answer) as url, urllib3.PoolManager(retries=False) as pool:
        pool.request("GET", url, redirect=False)
    assert recording.of("GET")[0].facts[names.REDIRECT_TARGET].startswith(recorded)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 999999 x\r\n\r\n",
        b"HTTP/1.1 302 x\r\nLocation: \xff\xfe\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 304 x\r\n" + b"A: b\r\n" * 200,
        b"HTTP/1.1 200 OK\r\nServer: " + b"x" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_hostile_responses_change_nothing_for_the_app(answer: bytes) -> None:
    def outcome() -> tuple[object, ...]:
        with serve_once(answer) as url, urllib3.PoolManager(retries=False) as pool:
            try:
                response = pool.request("GET", url, timeout=2, redirect=False)
            except urllib3.exceptions.HTTPError as error:
                return type(error), type(error.__cause__)
            return response.status, response.data

    bare = outcome()
    with watching(Urllib3Probe) as recording:
        assert bare == outcome()
    assert len(recording.of("GET")) == 1
    assert len(recording.calls[-1].session.server_version) <= 80


def test_statuses_from_400_on_are_errors(recording: Recording, pool: urllib3.PoolManager, web: Web) -> None:
    pool.request("GET", f"{web.url}/missing")
    recorded = recording.of("GET")[0]
    assert (recorded.error, recorded.facts[names.HTTP_STATUS]) == ("404", 404)


@pytest.mark.parametrize("path", ["/broken", "/silent"])
def test_a_broken_response_is_recorded(recording: Recording, pool: urllib3.PoolManager, web: Web, path: str) -> None:
    with pytest.raises(urllib3.exceptions.ProtocolError):
        pool.request("GET", f"{web.url}{path}")
    recorded = recording.of("GET")
    assert len(recorded) == 1
    assert recorded[0].error is not None


def test_each_retry_is_a_call(recording: Recording, web: Web) -> None:
    with urllib3.PoolManager(retries=urllib3.Retry(2, redirect=0)) as pool, pytest.raises(urllib3.exceptions.HTTPError):
        pool.request("GET", f"{web.url}/silent")
    assert len(recording.of("GET")) == 3


def test_account_and_method_are_reported_without_the_secret(
    recording: Recording, pool: urllib3.PoolManager, web: Web
) -> None:
    basic = base64.b64encode(b"ann:secret").decode()
    for value, recorded in (
        (f"Basic {basic}", ("ann", "clear-password")),
        ("Bearer secret", ("", "bearer")),
        ("secret", ("", "")),
        (None, ("", "")),
    ):
        pool.request("GET", f"{web.url}/plain", headers={"Authorization": value} if value else {})
        session = recording.calls[-1].session
        assert (session.account, session.auth_method) == recorded
    assert "secret" not in repr(recording.calls)
    assert basic not in repr(recording.calls)


def test_a_secret_in_the_url_is_reported_without_its_value(
    recording: Recording, pool: urllib3.PoolManager, web: Web
) -> None:
    for query, recorded in (
        ("?base=EUR&api_key=hunter2", True),
        ("?key=hunter2AIza0hunter2AIza0", True),
        ("?key=colour", None),
        ("", None),
    ):
        pool.request("GET", f"{web.url}/plain{query}", headers={"Authorization": "Bearer hunter2"})
        assert recording.calls[-1].facts.get(names.URL_SECRET) is recorded
    assert "hunter2" not in repr(recording.calls)


def test_a_forwarding_proxy_does_not_hide_the_target(recording: Recording, web: Web) -> None:
    with urllib3.ProxyManager(web.url) as proxy:
        proxy.request("GET", "http://api.example.com/plain")
        proxy.request("GET", "http://other.example.com:8080/plain")
    assert [(one.session.address, one.session.port) for one in recording.of("GET")] == [
        ("api.example.com", 80), ("other.example.com", 8080),
    ]  # fmt: skip
    assert recording.of("GET")[0].session.peer_address == "127.0.0.1"
    assert recording.of("GET")[0].statement == "GET api.example.com/plain"


def test_connection_older_than_the_probe_is_read_at_its_next_request(pool: urllib3.PoolManager, web: Web) -> None:
    pool.request("GET", f"{web.tls_url}/plain")
    with watching(Urllib3Probe) as recording:
        pool.request("HEAD", f"{web.tls_url}/plain")
        pool.request("GET", f"{web.tls_url}/plain")
    head, get = recording.calls
    assert (head.session.encrypted, head.session.verified, head.session.certificate_sha256 != "") == (
        True,
        "full",
        True,
    )
    assert len(BODY) < get.received < len(BODY) + 400


def test_threads_share_a_pool(recording: Recording, web: Web) -> None:
    with urllib3.PoolManager(maxsize=4) as pool:

        def work() -> None:
            for _ in range(20):
                assert pool.request("GET", f"{web.url}/plain").data == BODY

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    recorded = recording.of("GET")
    assert len(recorded) == 80
    assert all(len(BODY) < one.received < len(BODY) + 300 for one in recorded)


def test_the_standard_librarys_own_client_is_left_alone(recording: Recording, web: Web) -> None:
    with urllib.request.urlopen(f"{web.url}/plain") as response:  # noqa: S310  the test's own server
        assert response.read() == BODY
    connection = http.client.HTTPConnection(web.url.removeprefix("http://"))
    connection.request("GET", "/plain")
    assert connection.getresponse().read() == BODY
    connection.close()
    assert recording.calls == []


def test_tls_by_pyopenssl_is_recorded_as_tls(web: Web) -> None:
    path = os.pathsep.join([str(overlay("pyopenssl==26.4.0")), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", PYOPENSSL, f"{web.tls_url}/plain", web.ca_file], capture_output=True, text=True,
        cwd=ROOT, timeout=60, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


PYOPENSSL = """
import sys
import urllib3
from urllib3.contrib.pyopenssl import inject_into_urllib3
from backwatch.collector.runtime import guard
from backwatch.collector.probes.urllib3 import Urllib3Probe
from tests.collector.probes.recording import watching
inject_into_urllib3()
with watching(Urllib3Probe) as recording, urllib3.PoolManager(ca_certs=sys.argv[2]) as pool:
    pool.request("GET", sys.argv[1])
    session = recording.of("GET")[0].session
assert (session.encrypted, session.verified, session.tls_version) == (True, "full", "1.3"), session
assert len(session.certificate_sha256) == 64, session
assert guard.swallowed == [], guard.swallowed
"""


def test_a_mock_in_the_place_of_a_socket_has_no_facts() -> None:
    assert read_tls_facts(MagicMock()) == {}
