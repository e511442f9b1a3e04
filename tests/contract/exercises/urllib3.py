"""Typical calls of an app that uses requests and urllib3, over verified TLS and without."""

from collections.abc import Callable
from typing import Any

import requests
import urllib3

from tests.collector.probes.http.web import Web, shared

SERVICES = ("ca",)


def _session(web: Web) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = web.ca_file
    return session


def calls(services: dict[str, Any]) -> list[object]:
    web = shared(services["ca"])
    seen: list[object] = []
    with _session(web) as session:
        for url in (web.url, web.tls_url, web.closing_url, web.closing_tls_url):
            seen.append(len(session.get(f"{url}/plain?q=1&api_key=hunter2").content))
            seen.append(session.post(f"{url}/orders/17", data=b"z" * 1000, auth=("app", "secret")).text)
            seen.append(session.head(f"{url}/plain").status_code)
            seen.append(len(session.get(f"{url}/chunked").content))
            seen.append(len(session.get(f"{url}/gzip").content))
        seen.append(session.get(f"{web.tls_url}/document").text)
        around = session.get(f"{web.tls_url}/around")
        seen += [around.status_code, [one.status_code for one in around.history]]
        seen.append(session.get(f"{web.tls_url}/redirect", allow_redirects=False).headers["Location"])
        seen.append(session.get(f"{web.tls_url}/missing").status_code)
        with session.get(f"{web.tls_url}/plain", stream=True) as response:
            seen.append(sum(len(part) for part in response.iter_content(1000)))
    with urllib3.PoolManager(ca_certs=web.ca_file) as pool:
        seen.append(len(pool.request("GET", f"{web.tls_url}/chunked").data))
        half = pool.request("GET", f"{web.tls_url}/plain", preload_content=False)
        seen.append(half.read(10))
        half.close()
        unread = pool.request("GET", f"{web.tls_url}/plain", preload_content=False)
        unread.release_conn()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    web = shared(services["ca"])

    def untrusted() -> object:
        with urllib3.PoolManager(retries=False) as pool:
            return pool.request("GET", f"{web.tls_url}/plain")

    def broken(path: str) -> Callable[[], object]:
        def get() -> object:
            with urllib3.PoolManager(retries=False) as pool:
                return pool.request("GET", f"{web.url}{path}")

        return get

    return [
        untrusted,
        broken("/broken"),
        broken("/silent"),
        lambda: _session(web).get(f"{web.url}/silent"),
        lambda: _session(web).get("http://user@:80/"),
        lambda: urllib3.HTTPConnectionPool("127.0.0.1", 1, retries=False).urlopen("GET", "/").status,
        lambda: urllib3.HTTPConnectionPool("127.0.0.1", 1)._make_request(),  # type: ignore[call-arg]
    ]
