"""Redirects to known hosts: to another path, and to the host of all pictures."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.baseline.workloads import Process, Workload, WorkloadConfig, minutely, past, run
from backwatch.attack.protocols.http import RedirectingWeb, Request, Web, format_response
from backwatch.attack.protocols.server import LOOPBACK, HostileServer


class _Pictures(RedirectingWeb):
    """Redirects to its second host, and from one path to another."""

    def answer(self, request: Request) -> bytes:
        if request.path.startswith(b"/pictures"):
            target = b"https://%s:%d%s" % (LOOPBACK.encode(), self.elsewhere.port, request.path)
            return format_response(b"", status=b"302 Found", headers=(b"Location: " + target,))
        if request.path == b"/old":
            return format_response(b"", status=b"301 Moved Permanently", headers=(b"Location: /new",))
        return Web.answer(self, request)


class KnownRedirects(Workload):
    """The host is always the same; the path differs each time."""

    title = "an API that redirects to its own new paths, and to the host where its pictures have always been"
    naive = "answers send the app to another host"
    drivers = ("aiohttp", "httpx", "requests", "urllib3")
    processes = (Process((past(), minutely())),)

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        self._client: Any = None

    @classmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """Return a service of two hosts."""
        del driver
        return _Pictures(authority)

    def work(self, phase: str, number: int) -> None:
        """Fetch rates, an old path and a picture."""
        del phase
        for path in ("/rates", "/old", f"/pictures/{number}.jpeg"):
            self._get(f"https://localhost:{self.config.port}{path}")

    def _get(self, url: str) -> None:
        getattr(self, f"_{self.config.driver}")(url)

    def _requests(self, url: str) -> None:
        import requests

        assert requests.get(url, verify=self.config.ca_file, timeout=5).ok

    def _httpx(self, url: str) -> None:
        import ssl

        import httpx

        context = ssl.create_default_context(cafile=self.config.ca_file)
        with httpx.Client(verify=context, timeout=5, follow_redirects=True) as client:
            assert client.get(url).is_success

    def _urllib3(self, url: str) -> None:
        import urllib3

        with urllib3.PoolManager(ca_certs=self.config.ca_file, timeout=5) as pool:
            assert pool.request("GET", url).status == 200

    def _aiohttp(self, url: str) -> None:
        import asyncio
        import ssl

        import aiohttp

        async def get() -> None:
            context = ssl.create_default_context(cafile=self.config.ca_file)
            async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as answer:
                assert answer.ok

        asyncio.run(get())


if __name__ == "__main__":
    run(KnownRedirects)
