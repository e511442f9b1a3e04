"""E2: a response of some kilobytes that the client unpacks to many megabytes."""

import gzip

from backwatch.attack.clients.aiohttp import Aiohttp
from backwatch.attack.clients.httpx import Httpx
from backwatch.attack.clients.requests import Requests
from backwatch.attack.clients.urllib3 import Urllib3
from backwatch.attack.protocols.http import Request, Web, format_response
from backwatch.attack.scenarios import Run, Scenario

SIZE = 64 << 20


class Bomber(Web):
    """Returns a decompression bomb, once hostile."""

    bomb = b""

    def turn(self) -> None:
        """Pack the bomb once; a response must not wait for that."""
        self.bomb = gzip.compress(bytes(SIZE), 9)
        super().turn()

    def answer(self, request: Request) -> bytes:
        """Return the bomb or honest rates."""
        return (
            format_response(self.bomb, headers=(b"Content-Encoding: gzip",))
            if self.hostile
            else super().answer(request)
        )


class DecompressionBomb(Scenario):
    """The client unpacks the whole body without a limit."""

    code = "E2"
    attack = "answers with some kilobytes that unpack to 64 MiB"
    reference = "CVE-2025-66471; https://cwe.mitre.org/data/definitions/409.html; ATT&CK T1499.004"
    notices = "its memory"
    rule = "decompression-bomb"
    server = Bomber
    runs = (Run(Aiohttp, "aiohttp"), Run(Httpx, "httpx"), Run(Requests, "requests"), Run(Urllib3, "urllib3"))

    def work(self) -> object:
        """Return the length of the body."""
        return len(self.client.get(self.client.url()))

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether all of it stood in the app's memory."""
        del service
        return got == SIZE
