"""HTTP APIs, attached through each client library: real servers, and the hostile ones of the attack pack."""

import asyncio
import base64
import gzip
import time
import zlib
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.attack.protocols.http import RedirectingWeb, Request, Web, format_response
from backwatch.attack.protocols.server import SECRET, HostileServer, ServerSession
from backwatch.attack.scenarios.http.bomb import Bomber
from backwatch.attack.scenarios.http.flood import Flooding
from backwatch.resource import Resource, ResourceUnsafe
from backwatch.resource.addresses import Place
from backwatch.resource.systems.http import judge_target
from tests.resource.attaching import attach_url
from tests.resource.hostile import attach_hostile, serve_hostile

URL = "https://shop:SECRET@localhost:PORT/v1"
Fetch = Callable[..., Any]


def fetch_requests(resource: Resource, path: str = "rates", **options: Any) -> Any:
    with resource.session() as session:
        return session.get(path, **options)


def fetch_requests_streamed(resource: Resource, path: str = "rates", **options: Any) -> Any:
    with resource.session() as session, session.get(path, stream=True, **options) as response:
        response._content = b"".join(response.iter_content(None))
        return response


def fetch_httpx(resource: Resource, path: str = "rates", **options: Any) -> Any:
    with resource.client(follow_redirects=True) as client:
        return client.get(path, **options)


def fetch_httpx_streamed(resource: Resource, path: str = "rates", **options: Any) -> Any:
    with resource.client(follow_redirects=True) as client, client.stream("GET", path, **options) as response:
        response._content = b"".join(response.iter_bytes())
        return response


def fetch_httpx_async(resource: Resource, path: str = "rates", **options: Any) -> Any:
    async def fetch() -> Any:
        async with await resource.aclient(follow_redirects=True) as client:
            return await client.get(path, **options)

    return asyncio.run(fetch())


DRIVERS: dict[str, tuple[str, Fetch]] = {
    "requests": ("requests", fetch_requests), "requests-streamed": ("requests", fetch_requests_streamed),
    "httpx": ("httpx", fetch_httpx), "httpx-streamed": ("httpx", fetch_httpx_streamed),
    "httpx-async": ("httpx", fetch_httpx_async),
}  # fmt: skip
every_driver = pytest.mark.parametrize(("driver", "fetch"), DRIVERS.values(), ids=DRIVERS)


class Recording(Web):
    """Keeps what arrives."""

    def answer(self, request: Request) -> bytes:
        head = b"\n".join(name + b": " + value for name, value in sorted(request.headers.items()))
        self.keep(request.method + b" " + request.path + b"\n" + head)
        return super().answer(request)


@every_driver
def test_relative_urls_are_joined_and_the_login_is_sent(driver: str, fetch: Fetch, tmp_path: Path) -> None:
    with serve_hostile(Recording, tmp_path, hostile=False) as server:
        resource = attach_hostile(server, f"{URL}?version=1", driver=driver)
        assert fetch(resource, "/rates", params={"base": "EUR"}).json()["base"] == "EUR"
    login = b"authorization: Basic " + base64.b64encode(f"shop:{SECRET}".encode())
    assert server.kept[0].startswith(b"GET /v1/rates?version=1&base=EUR")
    assert login in server.kept[0]


@every_driver
def test_foreign_authority_is_refused(driver: str, fetch: Fetch, tmp_path: Path) -> None:
    with serve_hostile(Recording, tmp_path) as server, pytest.raises(ResourceUnsafe, match="certificate") as caught:
        fetch(attach_hostile(server, URL, driver=driver, ca="system"))
    assert caught.value.check == "tls"
    assert server.kept == []


@pytest.mark.parametrize("driver", ["requests", "httpx"])
def test_plaintext_url_is_refused(driver: str) -> None:
    with pytest.raises(ResourceUnsafe, match="http://") as caught:
        attach_url("http://localhost:1/v1", driver=driver).session()
    assert caught.value.check == "tls"


@every_driver
@pytest.mark.parametrize(
    ("url", "check"),
    [
        ("http://localhost:PORT/rates", "tls"), ("https://127.0.0.1:PORT/rates", "hosts"),
        ("https://localhost:1/rates", "hosts"), ("http://169.254.169.254/latest/meta-data", "hosts"),
        ("file:///etc/hosts", "hosts"), ("https://localhost@evil.example/", "hosts"), ("//evil.example/", "hosts"),
    ],
)  # fmt: skip
def test_request_to_another_place_is_refused(url: str, check: str, driver: str, fetch: Fetch, tmp_path: Path) -> None:
    with serve_hostile(Recording, tmp_path) as server:
        resource = attach_hostile(server, URL, driver=driver)
        if url.startswith(("//", "file:")) and driver == "httpx":  # which takes it for a path
            assert fetch(resource, url).status_code == 200
            return
        with pytest.raises(ResourceUnsafe) as caught:
            fetch(resource, url.replace("PORT", str(server.port)))
    assert caught.value.check == check
    assert server.kept == []


@every_driver
def test_redirect_to_another_host_is_refused(driver: str, fetch: Fetch, tmp_path: Path) -> None:
    with (
        serve_hostile(RedirectingWeb, tmp_path) as server,
        pytest.raises(ResourceUnsafe, match=r"127\.0\.0\.1") as caught,
    ):
        fetch(attach_hostile(server, URL, driver=driver))
    assert caught.value.check == "hosts"
    assert server.elsewhere.kept == []


@every_driver
def test_key_does_not_follow_a_redirect_that_is_allowed(driver: str, fetch: Fetch, tmp_path: Path) -> None:
    with serve_hostile(RedirectingWeb, tmp_path) as server:
        resource = attach_hostile(server, URL, driver=driver, hosts=["localhost", f"127.0.0.1:{server.elsewhere.port}"])
        options = {"headers": {"X-Api-Key": SECRET, "Cookie": f"session={SECRET}"}}
        assert "SecretAccessKey" in fetch(resource, **options).json()
        assert SECRET.encode() not in b"".join(server.elsewhere.kept)
        assert base64.b64encode(f"shop:{SECRET}".encode()) not in b"".join(server.elsewhere.kept)


class RedirectingToPlaintext(RedirectingWeb):
    """Redirects to its own name without TLS, or to a file."""

    target = b"http://localhost:%d/rates"

    def answer(self, request: Request) -> bytes:
        target = self.target % self.port if b"%d" in self.target else self.target
        return format_response(b"", status=b"302 Found", headers=(b"Location: " + target,))


class RedirectingToFile(RedirectingToPlaintext):
    """Redirects to a file."""

    target = b"file:///etc/hosts"


@every_driver
@pytest.mark.parametrize(("kind", "check"), [(RedirectingToPlaintext, "tls"), (RedirectingToFile, "hosts")])
def test_redirect_out_of_tls_is_refused(
    kind: type[HostileServer], check: str, driver: str, fetch: Fetch, tmp_path: Path
) -> None:
    with serve_hostile(kind, tmp_path) as server, pytest.raises(ResourceUnsafe) as caught:
        fetch(attach_hostile(server, URL, driver=driver))
    assert caught.value.check == check


class TwiceBomber(Bomber):
    """Packs the bomb once more: some hundred bytes."""

    def answer(self, request: Request) -> bytes:
        return format_response(gzip.compress(self.bomb, 9), headers=(b"Content-Encoding: gzip, gzip",))


class DeflateBomber(Bomber):
    """Packs it by another name, in chunks."""

    def answer(self, request: Request) -> bytes:
        body = zlib.compress(bytes(64 << 20), 9)
        return (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        )


@every_driver
@pytest.mark.parametrize("kind", [Bomber, TwiceBomber, DeflateBomber, Flooding], ids=lambda kind: kind.__name__)
def test_bomb_and_flood_are_refused(kind: type[HostileServer], driver: str, fetch: Fetch, tmp_path: Path) -> None:
    with serve_hostile(kind, tmp_path) as server, pytest.raises(ResourceUnsafe) as caught:
        fetch(attach_hostile(server, URL, driver=driver, max_reply_bytes=1 << 20))
    assert caught.value.check == "max_reply_bytes"


class Endless(Web):
    """Sends a body that never ends: fast, in drips, or drips of a header."""

    body, pause_s = b"10000\r\n" + b"x" * 65_536 + b"\r\n", 0.0
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    def reply(self, session: ServerSession, request: Request) -> None:
        session.send(self.head)
        while True:
            session.send(self.body)
            time.sleep(self.pause_s)


class Dripping(Endless):
    """Sends a byte now and then."""

    body, pause_s = b"1\r\nx\r\n", 0.1


class DrippingHeader(Dripping):
    """Never ends its headers."""

    head, body = b"HTTP/1.1 200 OK\r\nX-Drip: ", b"x"


class SilentPacked(Endless):
    """Sends empty blocks of deflate without end: nothing comes out of them."""

    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"1ffe\r\n" + b"\x00\x00\x00\xff\xff" * 1638 + b"\r\n"


@every_driver
@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Endless, "max_reply_bytes"), (SilentPacked, "max_reply_bytes"),
        (Dripping, "statement_timeout_s"), (DrippingHeader, "statement_timeout_s"),
    ],
    ids=["flood", "nothing", "drip", "header"],
)  # fmt: skip
def test_reply_without_end_is_refused(
    kind: type[HostileServer], check: str, driver: str, fetch: Fetch, tmp_path: Path
) -> None:
    with serve_hostile(kind, tmp_path) as server, pytest.raises(ResourceUnsafe) as caught:
        fetch(attach_hostile(server, URL, driver=driver, max_reply_bytes=1 << 20, statement_timeout_s=1))
    assert caught.value.check == check


@every_driver
def test_public_name_that_leads_to_loopback_is_refused(
    driver: str, fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name led elsewhere when the client was made: it is rebound."""
    places = ["93.184.215.14"]
    monkeypatch.setattr(
        "backwatch.resource.addresses.resolve", lambda host, port: [Place(host, ip_address(places[-1]), port)]
    )
    with serve_hostile(Recording, tmp_path) as server:
        resource = attach_hostile(server, "https://rates.example:PORT/v1", driver=driver)
        if driver == "requests":
            session = resource.session()
            places.append("127.0.0.1")
            with session, pytest.raises(ResourceUnsafe, match="own machine") as caught:
                session.get("rates")
        else:
            places.append("127.0.0.1")
            with pytest.raises(ResourceUnsafe, match="own machine") as caught:
                fetch(resource)
    assert caught.value.check == "addresses"
    assert server.kept == []


@every_driver
def test_pin_and_version_are_judged_before_the_request(driver: str, fetch: Fetch, tmp_path: Path) -> None:
    with serve_hostile(Recording, tmp_path) as server, pytest.raises(ResourceUnsafe) as caught:
        fetch(attach_hostile(server, URL, driver=driver, pin=["ab" * 32]))
    assert caught.value.check == "pin"
    assert server.kept == []


@every_driver
def test_observing_changes_nothing_and_finds_what_is_unsafe(driver: str, fetch: Fetch, tmp_path: Path) -> None:
    class Plaintext(Recording):
        def serve(self, session: ServerSession) -> None:
            self.obey(session)

    with serve_hostile(Plaintext, tmp_path) as server:
        resource = attach_hostile(server, "http://localhost:PORT/v1", driver=driver, mode="observe")
        assert fetch(resource).status_code == 200
    assert {finding.check for finding in resource.findings} == {"tls"}


class Breaking(Web):
    """Answers a handshake in plaintext, or breaks the session in the middle of a reply."""

    at_handshake = True

    def serve(self, session: ServerSession) -> None:
        if self.at_handshake:
            session.read(1)
            session.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return
        super().serve(session)

    def reply(self, session: ServerSession, request: Request) -> None:
        session.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbroken")
        session.drop()


class BreakingLater(Breaking):
    """Breaks the session."""

    at_handshake = False


@every_driver
def test_broken_handshake_is_refused_and_a_lost_connection_is_not(driver: str, fetch: Fetch, tmp_path: Path) -> None:
    with serve_hostile(Breaking, tmp_path / "now") as server, pytest.raises(ResourceUnsafe) as caught:
        fetch(attach_hostile(server, URL, driver=driver))
    assert caught.value.check == "tls"
    with serve_hostile(BreakingLater, tmp_path / "later") as server, pytest.raises(Exception) as lost:
        fetch(attach_hostile(server, URL, driver=driver))
    assert type(lost.value).__module__.partition(".")[0] == driver


def test_verification_cannot_be_turned_off(tmp_path: Path) -> None:
    with serve_hostile(Recording, tmp_path) as server:
        resource = attach_hostile(server, URL, driver="requests")
        with pytest.raises(ResourceUnsafe, match="verify=False"):
            fetch_requests(resource, verify=False)
        with pytest.raises(ResourceUnsafe, match="verify"):
            attach_hostile(server, URL, driver="httpx").client(verify=False)
    assert server.kept == []


def test_authority_of_the_policy_is_the_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_hostile(Recording, tmp_path) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.authority.ca_file))
        monkeypatch.setenv("HTTPS_PROXY", f"http://localhost:{server.port}")
        with pytest.raises(ResourceUnsafe, match="certificate"):
            fetch_requests(attach_hostile(server, URL, driver="requests", ca="system"))


@pytest.mark.parametrize("kind", [RedirectingWeb, Bomber], ids=lambda kind: kind.__name__)
def test_bare_driver_is_harmed(kind: type[HostileServer], tmp_path: Path) -> None:
    import requests

    with serve_hostile(kind, tmp_path) as server:
        got = requests.get(
            f"https://localhost:{server.port}/v1/rates", verify=str(server.authority.ca_file), timeout=10
        )
    assert b"SecretAccessKey" in got.content or len(got.content) == 64 << 20


@pytest.mark.parametrize("driver", ["requests", "httpx"])
def test_read_only_resource_sends_no_change(driver: str, tmp_path: Path) -> None:
    with serve_hostile(Recording, tmp_path) as server:
        session = attach_hostile(server, URL, driver=driver, read_only=True).session()
        with session:
            assert session.get("rates").status_code == 200
            with pytest.raises(ResourceUnsafe, match="POST") as caught:
                session.post("rates", json={})
    assert caught.value.check == "read_only"
    assert len(server.kept) == 1


@given(
    st.sampled_from(["http", "https", "file", "ftp", ""]) | st.text(max_size=8),
    st.text(max_size=30) | st.sampled_from(["localhost", "LOCALHOST.", "127.0.0.1", "localhost.evil"]),
    st.none() | st.integers(0, 70_000),
)
def test_only_the_resources_own_place_is_allowed(scheme: str, host: str, port: int | None) -> None:
    attachment = attach_url("https://localhost:8443/v1", driver="requests")._attachment
    try:
        judge_target(attachment, scheme, host, port)
    except ResourceUnsafe:
        return
    assert (scheme.lower(), host.lower().rstrip(".").strip("[]"), port) == ("https", "localhost", 8443)


@given(st.text(max_size=60))
def test_no_path_leaves_the_hosts_of_the_resource(path: str) -> None:
    session = attach_url("https://localhost:1/v1", driver="requests").session()
    try:
        session.get(path)
    except (ResourceUnsafe, OSError, ValueError):  # refused, or nothing listens there
        return
    raise AssertionError("something answered")
