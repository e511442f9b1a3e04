"""E3: a response is a hundred thousand times as long as it ever was."""

import json

from backwatch.attack.clients.httpx import Httpx
from backwatch.attack.clients.requests import Requests
from backwatch.attack.protocols.http import Request, Web, format_response
from backwatch.attack.scenarios import Run, Scenario

LENGTH = 8 << 20
"""Bytes, at least; a real one never ends."""


class Flooding(Web):
    """Returns a long document, once hostile."""

    def answer(self, request: Request) -> bytes:
        """Return the long document or honest rates."""
        if not self.hostile:
            return super().answer(request)
        return format_response(json.dumps({"base": "EUR", "rates": {}, "note": "x" * LENGTH}).encode())


class BodyFlood(Scenario):
    """The client reads the whole body before it returns, unless the app streams."""

    code = "E3"
    attack = "answers with eight mebibytes where it used to answer with a line"
    reference = "https://owasp.org/API-Security/editions/2023/en/0xaa-unsafe-consumption-of-apis/; ATT&CK T1499.004"
    notices = "a long answer"
    rule = "bulk-read"
    server = Flooding
    runs = (Run(Httpx, "httpx"), Run(Requests, "requests"))

    def work(self) -> object:
        """Return the length of the body."""
        return len(self.client.get(self.client.url()))

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether the app read all of it."""
        del service
        return isinstance(got, int) and got > LENGTH
