"""A12 on requests, in an app that retries with ``http://``."""

from backwatch.attack.protocols.http import Request, Web
from backwatch.attack.protocols.server import Session
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.retried_in_clear import BreaksThenListens, RetriesInClear


class _Breaking(BreaksThenListens, Web):
    def hear(self, session: Session) -> None:
        """Serve requests, and record the token."""
        self.obey(session)

    def answer(self, request: Request) -> bytes:
        """Return an honest response."""
        if self.listens:
            self.kept.append(request.headers.get(b"authorization", b""))
        return super().answer(request)


class HttpRetriedInClear(RetriesInClear):
    """The app sends the token to any server."""

    driver = "requests"
    option = "http://"
    server = _Breaking

    def visit(self, *, checked: bool) -> object:
        """Fetch the rates."""
        import requests

        url = f"{'https' if checked else 'http'}://localhost:{self.config.port}/rates"
        token = {"Authorization": f"Bearer {SECRET}"}
        return requests.get(url, headers=token, verify=self.config.ca_file, timeout=5).json()
