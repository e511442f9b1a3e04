"""A12 on requests, in an app that retries with ``http://``."""

from backwatch.attack.clients.requests import Requests
from backwatch.attack.protocols.http import Request, Web
from backwatch.attack.protocols.server import Session
from backwatch.attack.scenarios import SECRET, Run
from backwatch.attack.techniques.retried_in_clear import BreaksThenListens, RetriesInClear


class OverheardApi(BreaksThenListens, Web):
    """An API to which the app falls back in plaintext."""

    def hear(self, session: Session) -> None:
        """Serve requests."""
        self.obey(session)

    def answer(self, request: Request) -> bytes:
        """Record the token, and return an honest response."""
        self.taken(request.headers.get(b"authorization", b""))
        return super().answer(request)


class HttpRetriedInClear(RetriesInClear):
    """The app sends the token to any server."""

    option = "http://"
    server = OverheardApi
    runs = (Run(Requests),)

    def visit(self, *, checked: bool) -> object:
        """Fetch the rates."""
        return self.client.visit(tls=checked, headers={"Authorization": f"Bearer {SECRET}"})
