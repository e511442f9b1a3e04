"""The real server: headers of every response, allowed clients, and errors when it cannot serve."""

import base64
import hashlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from backwatch.collector.settings import DashboardSettings, SettingError
from backwatch.dashboard import index, server
from backwatch.dashboard.middleware import HostCheckMiddleware, Receive, Scope, Send
from tests.dashboard.screens import BACKWATCH, Dashboard, environment
from tests.services.process import free_port

UNREACHABLE_STORE = "postgresql://backwatch:hunter2@127.0.0.1:1/backwatch"
WITHOUT_A_CHECK = (
    "from backwatch.collector.settings import DashboardSettings, load\n"
    "from backwatch.dashboard.server import listen, serve\n"
    "settings = load(DashboardSettings)\nserve(settings, listen(settings))"
)
"""The server alone, as it goes on when the store goes away while it serves."""


def command(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [BACKWATCH, "dashboard", *arguments], env=environment(**settings), capture_output=True, text=True, timeout=60
    )


def handshake(port: int, path: str = "/_stcore/stream", **headers: str) -> int:
    """Return the status of the server's reply to a web socket request."""
    headers = {
        "Host": f"127.0.0.1:{port}", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(), "Sec-WebSocket-Protocol": "streamlit",
        **headers,
    }  # fmt: skip
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        return int(connection.recv(200).split(b" ")[1])


@pytest.fixture(scope="module")
def storeless() -> Iterator[str]:
    """A dashboard whose store does not respond."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_A_CHECK],
        env=environment(BACKWATCH_STORE_URL=UNREACHABLE_STORE, BACKWATCH_DASHBOARD_PORT=str(port)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            requests.get(f"http://127.0.0.1:{port}/_stcore/health", timeout=5)
            break
        except requests.RequestException:  # it may listen before it can respond
            time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


PATHS = (
    "/", "/overview", "/alerts", "/alert?id=x", "/resources", "/rules", "/rule?name=x", "/readyz", "/healthz",
    "/_stcore/health", "/_stcore/host-config",
    "/favicon.png", "/nowhere/at/all", "/_stcore/metrics", "/_stcore/agent/mcp",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_headers(dashboard: Dashboard, path: str) -> None:
    answer = requests.get(dashboard.url + path, timeout=20)
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "server" not in answer.headers
    policy = answer.headers["content-security-policy"]
    for part in ("default-src 'self'", "img-src 'self' data: blob:", "connect-src 'self'", "frame-ancestors 'none'"):
        assert part in policy.split("; ")


def test_every_page_of_the_app_is_a_known_path() -> None:
    app = (Path(server.__file__).parent / "pages" / "app.py").read_text()
    assert set(re.findall(r'url_path="([a-z-]+)"', app)) <= set(index.PAGES)


@pytest.mark.parametrize(
    "path", ["/", "/overview", "/alerts", "/alerts/", "/alert?id=x", "/resources", "/rules", "/rule"]
)
def test_known_pages_are_pages(dashboard: Dashboard, path: str) -> None:
    answer = requests.get(dashboard.url + path, timeout=20)
    assert (answer.status_code, "<title>Backwatch</title>" in answer.text) == (200, True)


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/nowhere", "/nowhere/at/all", "/nowhere/", "/alerts/nowhere", "/_stcore/nowhere",
     "/static/nowhere.js", "/index.html", "/Alerts", "/healthz/x"],
)  # fmt: skip
def test_unknown_paths_are_not_found(dashboard: Dashboard, path: str) -> None:
    answer = requests.get(dashboard.url + path, timeout=20)
    assert answer.status_code == 404
    assert "<html" not in answer.text
    assert requests.head(dashboard.url + path, timeout=20, allow_redirects=True).status_code in (404, 405)


def test_overview_leads_to_the_first_page(dashboard: Dashboard) -> None:
    answer = requests.get(dashboard.url + "/overview?level=high", timeout=20, allow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "./")


def test_scripts_and_styles_carry_the_headers_too(dashboard: Dashboard) -> None:
    found = re.findall(r'(?:src|href)="\./(static/[^"]+\.(?:js|css))"', requests.get(dashboard.url, timeout=20).text)
    assert found
    for path in (found[0], found[-1]):
        answer = requests.get(f"{dashboard.url}/{path}", timeout=20)
        assert (answer.status_code, answer.headers["x-content-type-options"]) == (200, "nosniff")
        assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("path", ["/", "/alerts"])
def test_the_policy_names_each_inline_script_and_allows_no_other(dashboard: Dashboard, path: str) -> None:
    answer = requests.get(dashboard.url + path, timeout=20)
    scripts = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts]
    [sources] = [one for one in answer.headers["content-security-policy"].split("; ") if one.startswith("script-src")]
    assert len(scripts) == 2
    assert sorted(f"'sha256-{one}'" for one in hashes) == sorted(re.findall(r"'sha256-[^']+'", sources))
    assert "unsafe-inline" not in sources
    assert re.findall(r"<script(?! type=\"module\" crossorigin src=\"\./)[^>]+>", answer.text) == []


def test_the_page_has_our_title_and_offers_no_other_door(dashboard: Dashboard) -> None:
    text = requests.get(dashboard.url, timeout=20).text
    assert "<title>Backwatch</title>" in text
    assert "Streamlit</title>" not in text
    assert "service-desc" not in text
    assert requests.post(f"{dashboard.url}/_stcore/agent/interact", json={}, timeout=20).status_code in (403, 404)


def test_a_rebound_name_is_refused(dashboard: Dashboard) -> None:
    evil = f"evil.example:{dashboard.port}"
    assert handshake(dashboard.port) == 101
    assert handshake(dashboard.port, Host=evil) == 403
    assert handshake(dashboard.port, Host=evil, Origin=f"http://{evil}") == 403
    assert requests.get(dashboard.url, headers={"Host": evil}, timeout=20).status_code == 403
    assert requests.get(f"{dashboard.url}/media/x.json", headers={"Host": evil}, timeout=20).status_code == 403
    assert requests.get(f"{dashboard.url}/readyz", headers={"Host": evil}, timeout=20).text == '{"store":"ok"}'


def test_a_web_socket_from_a_foreign_page_is_refused(dashboard: Dashboard) -> None:
    assert handshake(dashboard.port, Origin=dashboard.url) == 101
    assert handshake(dashboard.port, Origin="http://evil.example") == 403
    assert handshake(dashboard.port, Origin="null") == 403
    assert handshake(dashboard.port, Origin=f"http://127.0.0.1:{dashboard.port + 1}") == 403


def may_enter(host: str, origin: str, *proxies: str, address: str = "::1") -> bool:
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    return HostCheckMiddleware(serve_nothing, [address, "localhost", *proxies], proxies)._may_enter(
        {"type": "websocket", "headers": headers}
    )


async def serve_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError


def test_page_from_another_local_program_is_refused_under_any_host() -> None:
    assert may_enter("dash.example", "https://dash.example:8443", "dash.example.")
    assert may_enter("dash.example.", "https://dash.example:8443", "dash.example")
    for name in ("127.0.0.2", "localhost", "localhost.", "app.localhost", "[::1]"):
        assert not may_enter(name, f"http://{name}:9", name)
        assert may_enter(f"{name}:9", f"http://{name}:9", name)


def test_request_without_host_is_refused() -> None:
    for host in ("", "[", "a b", ":80"):
        assert not may_enter(host, f"http://{host}", address="fe80::1%lo")


def test_a_name_that_was_allowed_is_answered(dashboard: Dashboard) -> None:
    assert requests.get(dashboard.url, headers={"Host": "dash.example"}, timeout=20).status_code == 200
    assert handshake(dashboard.port, Host="dash.example", Origin="http://dash.example") == 101
    assert handshake(dashboard.port, Host="dash.example", Origin="https://dash.example") == 101


@pytest.mark.parametrize("host", ["proxy.example", "proxy.example:8443", "PROXY.example:80", "[fd00::1]:8443"])
def test_host_allowed_with_a_port_is_accepted_under_any_port(dashboard: Dashboard, host: str) -> None:
    assert requests.get(dashboard.url, headers={"Host": host}, timeout=20).status_code == 200
    assert handshake(dashboard.port, Host=host, Origin=f"https://{host}") == 101
    assert handshake(dashboard.port, Host=host, Origin="https://evil.example:8443") == 403


@pytest.mark.parametrize(
    "names", ["https://dash.example", "*", "dash.example/x", "a b", "dash.example:port", "ann@dash"]
)
def test_invalid_host_name_is_one_line_with_setting_and_value(names: str) -> None:
    with pytest.raises(SettingError, match=re.escape(f"BACKWATCH_DASHBOARD_ALLOWED_HOSTS={names!r}: not names")):
        server.listen(DashboardSettings(port=free_port(), allowed_hosts=(names,)))


def test_it_is_ready_while_its_store_answers(dashboard: Dashboard) -> None:
    answer = requests.get(f"{dashboard.url}/readyz", timeout=20)
    assert (answer.status_code, answer.json()) == (200, {"store": "ok"})


def test_server_without_store_is_alive_but_not_ready(storeless: str) -> None:
    answer = requests.get(f"{storeless}/readyz", timeout=20)
    assert (answer.status_code, answer.json()) == (503, {"store": "away"})
    assert answer.headers["x-frame-options"] == "DENY"
    assert requests.get(f"{storeless}/_stcore/health", timeout=20).status_code == 200


def test_server_listens_on_loopback_by_default() -> None:
    with server.listen(DashboardSettings(port=free_port())) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_port_in_use_is_one_line_with_setting_and_value(dashboard: Dashboard) -> None:
    done = command(BACKWATCH_DASHBOARD_PORT=str(dashboard.port), BACKWATCH_STORE_URL=str(dashboard.store.url))
    expected = f"Error: BACKWATCH_DASHBOARD_PORT={dashboard.port}: another program listens there on 127.0.0.1\n"
    assert (done.returncode, done.stderr) == (78, expected)


def test_foreign_address_is_one_line_with_setting_and_value(dashboard: Dashboard) -> None:
    allowed = {"BACKWATCH_DASHBOARD_OPEN_TO_EVERYBODY": "yes-i-know"}
    done = command("--address", "203.0.113.7", BACKWATCH_STORE_URL=str(dashboard.store.url), **allowed)
    expected = "Error: BACKWATCH_DASHBOARD_ADDRESS='203.0.113.7': Cannot assign requested address\n"
    assert (done.returncode, done.stderr) == (78, expected)


def test_unresponsive_store_is_one_line_without_its_secret() -> None:
    done = command(BACKWATCH_STORE_URL=UNREACHABLE_STORE)
    assert done.returncode == 69
    assert done.stderr.startswith("Error: BACKWATCH_STORE_URL='postgresql://127.0.0.1:1/backwatch': ")
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(("sent", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_signal_ends_it_at_once_with_the_usual_code(dashboard: Dashboard, sent: int, expected: int) -> None:
    port = free_port()
    variables = environment(BACKWATCH_STORE_URL=str(dashboard.store.url), BACKWATCH_DASHBOARD_PORT=str(port))
    with subprocess.Popen([BACKWATCH, "dashboard"], env=variables, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"dashboard: http://127.0.0.1:{port}\n"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).ok:
                    break
            except requests.RequestException:
                time.sleep(0.1)
        process.send_signal(sent)
        began = time.monotonic()
        assert process.wait(20) == expected
        assert time.monotonic() - began < 10
        assert process.stderr.read() == ""


def test_help_mentions_the_missing_login() -> None:
    done = command("--help")
    assert done.returncode == 0
    assert "There is no login" in done.stdout
    assert "BACKWATCH_DASHBOARD_PORT" in done.stdout
