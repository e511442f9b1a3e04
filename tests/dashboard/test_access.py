"""Access to the dashboard: loopback, users of an authenticating proxy, or everybody by an explicit setting."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from playwright.sync_api import Browser

from backwatch.collector.settings import DashboardSettings, SettingError, load
from backwatch.dashboard import server
from backwatch.dashboard.access import LoginCheck, ProxyLogin, proxy_login
from backwatch.dashboard.middleware import Receive, Scope, Send
from backwatch.store import tables
from backwatch.store.transactions import reading
from tests.dashboard.login_proxy import login_proxy
from tests.dashboard.screens import Dashboard, Window, serve
from tests.dashboard.test_server import command, handshake
from tests.services.commits import alert_id, make_raised
from tests.services.process import free_port

SECRET = "correct-horse-battery"
PROOF = {"X-Backwatch-Proxy-Secret": SECRET, "X-Forwarded-User": "ann@example.com"}
NEEDS_LOGIN = (
    "is not loopback, and the dashboard has no login; set BACKWATCH_DASHBOARD_PROXY_USER_HEADER and "
    "BACKWATCH_DASHBOARD_PROXY_SECRET behind a proxy with one, or BACKWATCH_DASHBOARD_OPEN_TO_EVERYBODY=yes-i-know"
)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Dashboard]:
    """A dashboard behind a proxy with a secret, reachable by all."""
    with serve(
        BACKWATCH_DASHBOARD_ADDRESS="0.0.0.0", BACKWATCH_DASHBOARD_REFRESH_S="1",
        BACKWATCH_DASHBOARD_PROXY_USER_HEADER="X-Forwarded-User", BACKWATCH_DASHBOARD_PROXY_SECRET=SECRET,
    ) as one:  # fmt: skip
        yield one


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "0", "203.0.113.7"])
def test_an_address_beyond_loopback_is_refused_without_login(dashboard: Dashboard, address: str) -> None:
    done = command("--address", address, BACKWATCH_STORE_URL=str(dashboard.store.url))
    assert (done.returncode, done.stderr) == (78, f"Error: BACKWATCH_DASHBOARD_ADDRESS='{address}': {NEEDS_LOGIN}\n")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_loopback_is_served_as_it_is(address: str) -> None:
    server.listen(DashboardSettings(address=address, port=free_port())).close()


@pytest.mark.parametrize("value", ["yes", "1", "true", "YES"])
def test_only_the_words_themselves_open_it_to_everybody(value: str) -> None:
    expected = f"BACKWATCH_DASHBOARD_OPEN_TO_EVERYBODY='{value}': must be one of no, yes-i-know"
    with pytest.raises(SettingError, match=re.escape(expected)):
        load(DashboardSettings, environment={"BACKWATCH_DASHBOARD_OPEN_TO_EVERYBODY": value})


def test_the_words_open_it_to_everybody() -> None:
    with serve(BACKWATCH_DASHBOARD_ADDRESS="0.0.0.0", BACKWATCH_DASHBOARD_OPEN_TO_EVERYBODY="yes-i-know") as one:
        assert requests.get(one.url, timeout=20).status_code == 200


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"proxy_user_header": "X-User"}, "PROXY_USER_HEADER='X-User': anyone can send this header; set"),
        ({"proxy_secret": SECRET}, "PROXY_USER_HEADER='': must be the name of the header"),
        ({"trusted_proxies": ("10.0.0.1",)}, "PROXY_USER_HEADER='': must be the name of the header"),
        ({"proxy_user_header": "X User", "proxy_secret": SECRET}, "PROXY_USER_HEADER='X User': must be the name"),
        ({"proxy_user_header": "X-Backwatch-User", "proxy_secret": SECRET}, "this name is taken"),
        ({"proxy_user_header": "X-User", "proxy_secret": "short"}, "PROXY_SECRET=(secret): must be 16 or more"),
        ({"proxy_user_header": "X-User", "trusted_proxies": ("proxy",)}, "TRUSTED_PROXIES='proxy': must be addresses"),
        ({"proxy_user_header": "X-User", "trusted_proxies": ("10.0.0.1/8",)}, "TRUSTED_PROXIES='10.0.0.1/8': must be"),
    ],
)
def test_half_a_login_is_refused_by_name(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(SettingError, match=re.escape(expected)):
        server.listen(DashboardSettings(port=free_port(), **given))


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"X-Forwarded-User": "ann"}, {"X-Backwatch-Proxy-Secret": SECRET}, {**PROOF, "X-Forwarded-User": ""},
        {**PROOF, "X-Backwatch-Proxy-Secret": "wrong"}, {**PROOF, "X-Backwatch-Proxy-Secret": SECRET[:-1]},
        {"X-Backwatch-User": "ann"}, {**PROOF, "X-Forwarded-User": "a" * 201},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/alerts", "/_stcore/host-config", "/static/nowhere.js", "/metrics"])
def test_requests_that_did_not_pass_the_proxy_are_refused(
    guarded: Dashboard, headers: dict[str, str], path: str
) -> None:
    answer = requests.get(guarded.url + path, headers=headers, timeout=20)
    assert answer.status_code == 403
    assert answer.headers["x-frame-options"] == "DENY"
    assert SECRET not in answer.text
    assert handshake(guarded.port, **headers) == 403


def test_requests_through_the_proxy_are_answered(guarded: Dashboard) -> None:
    assert requests.get(guarded.url, headers=PROOF, timeout=20).status_code == 200
    assert handshake(guarded.port, **PROOF) == 101
    assert requests.get(f"{guarded.url}/metrics", headers=PROOF, timeout=20).status_code == 404


def test_monitors_need_no_login_for_health(guarded: Dashboard) -> None:
    for path in ("/healthz", "/readyz", "/_stcore/health"):
        assert requests.get(guarded.url + path, timeout=20).status_code == 200


def login(**more: Any) -> ProxyLogin:
    found = proxy_login(DashboardSettings(proxy_user_header="X-Forwarded-User", **more))
    assert found is not None
    return found


def scope(address: str = "10.1.2.3", *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"client": (address, 1), "headers": headers or [(b"x-forwarded-user", b"ann")]}


def test_a_header_that_is_there_twice_proves_nothing() -> None:
    user, secret = (b"x-forwarded-user", b"ann"), (b"x-backwatch-proxy-secret", SECRET.encode())
    guard = login(proxy_secret=SECRET)
    assert guard.user_of(scope("::1", user, secret)) == b"ann"
    assert guard.user_of(scope("::1", user, secret, (b"X-Forwarded-User", b"eve"))) is None
    assert guard.user_of(scope("::1", user, secret, (b"X-Backwatch-Proxy-Secret", b"x"))) is None


def test_a_request_cannot_name_its_own_user() -> None:
    passed: list[Scope] = []

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope)

    async def unused(*_: object) -> Any:
        raise AssertionError

    forged = [(b"X-Backwatch-User", b"eve"), (b"x-backwatch-user", b"eve"), (b"x-forwarded-user", b"ann")]
    proof = (b"x-backwatch-proxy-secret", SECRET.encode())
    for guard, expected in ((None, []), (login(proxy_secret=SECRET), [b"ann"])):
        asked = {"type": "websocket", "path": "/_stcore/stream", "headers": [*forged, proof]}
        asyncio.run(LoginCheck(page, guard)(asked, unused, unused))
        headers = passed[-1]["headers"]
        assert [value for name, value in headers if name.lower() == b"x-backwatch-user"] == expected
        assert proof not in headers


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"])
def test_only_the_proxys_own_addresses_are_trusted(address: str) -> None:
    guard = login(trusted_proxies=("10.1.2.0/24", "fd00::1"))
    assert guard.user_of(scope(address)) == b"ann"
    for other in ("10.1.3.3", "fd00::2", "127.0.0.1", "unix", ""):
        assert guard.user_of(scope(other)) is None
    assert guard.user_of({**scope(), "client": None}) is None


def test_a_forwarded_address_does_not_make_a_proxy() -> None:
    with serve(
        BACKWATCH_DASHBOARD_PROXY_USER_HEADER="X-Forwarded-User", BACKWATCH_DASHBOARD_TRUSTED_PROXIES="10.1.2.3"
    ) as one:
        for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
            headers = {name: "10.1.2.3" if name != "Forwarded" else "for=10.1.2.3", "X-Forwarded-User": "ann"}
            assert requests.get(one.url, headers=headers, timeout=20).status_code == 403
            assert handshake(one.port, **headers) == 403


def test_decisions_bear_the_name_of_the_proxys_user(guarded: Dashboard, browser: Browser) -> None:
    guarded.owner.commit(make_raised("by", at_ns=10**18))
    alert = alert_id("unusual-query", "by")
    with login_proxy(guarded.port, {**PROOF, "X-Forwarded-User": "ann é"}) as port:
        page = browser.new_page(viewport={"width": 1400, "height": 1600})
        window = Window(page, f"http://127.0.0.1:{port}")
        window.go(f"/alert?id={alert}", "Signed in as")
        window.see("ann é")
        assert page.get_by_label("Your name").count() == 0
        window.press("Acknowledge")
        window.see("acknowledge: entered as number")
        page.close()
    with reading(guarded.store) as connection:
        [row] = connection.execute(sa.select(tables.decision).where(tables.decision.c.alert_id == alert)).all()
    assert (row.kind, row.by) == ("acknowledge", "ann é")
