"""E3 over HTTP: an answer is a hundred thousand times as long as it ever was."""

import json

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.http import Request, Web, answered
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

LENGTH = 8 << 20
"""Bytes, at least; a real one never ends."""


class _Flooding(Web):
    def answer(self, request: Request) -> bytes:
        if not self.hostile:
            return super().answer(request)
        return answered(json.dumps({"base": "EUR", "rates": {}, "note": "x" * LENGTH}).encode())


class Floods(Scenario):
    """An app that reads whatever an API answers, as clients do unless they are told to stream."""

    code = "E3"
    attack = "answers with eight mebibytes where it used to answer with a line"
    reference = "https://owasp.org/API-Security/editions/2023/en/0xaa-unsafe-consumption-of-apis/; ATT&CK T1499.004"
    notices = "a long answer"
    rule = "bulk-read"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return _Flooding(authority)

    @property
    def url(self) -> str:
        """Of the API."""
        return f"https://localhost:{self.config.port}/rates"

    def work(self) -> None:
        """Fetches the rates."""
        self.meet()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app took all of it."""
        del service
        return isinstance(got, int) and got > LENGTH
