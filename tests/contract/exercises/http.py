"""Typical calls of an app that uses the standard library's HTTP client, by itself and through urllib."""

import base64
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.collector.probes.http.web import Web, shared

SERVICES = ("ca",)


def _opener(web: Web, *more: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=web.ca_file)
    direct = urllib.request.ProxyHandler({})
    return urllib.request.build_opener(direct, urllib.request.HTTPSHandler(context=context), *more)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **options: Any) -> None:
        return None


def calls(services: dict[str, Any]) -> list[object]:
    web = shared(services["ca"])
    seen: list[object] = []
    opener = _opener(web)
    for url in (web.url, web.tls_url, web.closing_url, web.closing_tls_url):
        with opener.open(f"{url}/plain?q=1&api_key=hunter2") as response:
            seen.append(len(response.read()))
        login = base64.b64encode(b"app:secret").decode()
        request = urllib.request.Request(  # noqa: S310  the test's own server
            f"{url}/orders/17", b"z" * 1000, {"Authorization": f"Basic {login}"}
        )
        with opener.open(request) as response:
            seen.append(response.read())
        with opener.open(f"{url}/chunked") as response:
            seen.append(sum(len(part) for part in iter(lambda: response.read(1000), b"")))
    with opener.open(f"{web.tls_url}/around") as response:
        seen += [response.status, len(response.read())]
    try:
        _opener(web, _Stay()).open(f"{web.tls_url}/redirect")
    except urllib.error.HTTPError as moved:
        seen += [moved.code, moved.headers["Location"]]
        moved.close()
    try:
        opener.open(f"{web.tls_url}/missing")
    except urllib.error.HTTPError as missing:
        seen += [missing.code, len(missing.read())]
    connection = http.client.HTTPSConnection(
        web.tls_url.removeprefix("https://"), context=ssl.create_default_context(cafile=web.ca_file)
    )
    for _ in range(2):
        connection.request("GET", "/plain")
        seen.append(len(connection.getresponse().read()))
    connection.close()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    web = shared(services["ca"])
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def misused() -> object:
        connection = http.client.HTTPConnection(web.url.removeprefix("http://"))
        connection.endheaders()
        return connection

    def unasked() -> object:
        return http.client.HTTPConnection("127.0.0.1", 1).getresponse()

    return [
        lambda: urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl.create_default_context())
        ).open(f"{web.tls_url}/plain"),
        lambda: direct.open(f"{web.url}/missing").close(),
        lambda: direct.open(f"{web.url}/broken").read(),
        lambda: direct.open(f"{web.url}/silent"),
        lambda: direct.open("http://127.0.0.1:1/"),
        lambda: direct.open("http://user:secret@127.0.0.1:port/"),
        misused,
        unasked,
    ]
