"""E2: an answer of some kilobytes that the client unpacks to many megabytes."""

import gzip
from abc import abstractmethod

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Request, Web, answered
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

SIZE = 64 << 20


class _Bomber(Web):
    bomb = b""

    def turn(self) -> None:
        """Packs it once; an answer must not wait for that."""
        self.bomb = gzip.compress(bytes(SIZE), 9)
        super().turn()

    def answer(self, request: Request) -> bytes:
        return answered(self.bomb, headers=(b"Content-Encoding: gzip",)) if self.hostile else super().answer(request)


class Unpacks(Scenario):
    """An app that fetches from an API and takes whatever it unpacks to."""

    code = "E2"
    attack = "answers with some kilobytes that unpack to 64 MiB"
    reference = "CVE-2025-66471; https://cwe.mitre.org/data/definitions/409.html; ATT&CK T1499.004"
    notices = "its memory"
    rule = "decompression-bomb"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It packs well."""
        return _Bomber(authority)

    @property
    def url(self) -> str:
        """Of the API."""
        return f"https://localhost:{self.config.port}/rates"

    @abstractmethod
    def fetch(self) -> bytes:
        """The rates as they came, unpacked."""

    def work(self) -> None:
        """Fetches the rates."""
        self.fetch()

    def meet(self) -> object:
        """The same: how much it was."""
        return len(self.fetch())

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """All of it stood in the app's memory."""
        del service
        return got == SIZE
