"""A1, A7: the app attaches a second service beside the first, without checking it.

The second one has the same port and another name, and so is a resource of its own.
"""

from typing import ClassVar

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import LOOPBACK, MAX_KEPT, HostileServer, ServerSession, combine
from backwatch.attack.scenarios import SECRET, Scenario

FIRST = "localhost"
SECOND = LOOPBACK
"""Another name of the same host. No alert about the first service refers to it."""


class Overheard(ServerSession):
    """A session that stays plaintext; an eavesdropper reads the client's data.

    Args:
        session: The accepted session.
        heard: Receives the overheard data.
    """

    def __init__(self, session: ServerSession, heard: list[bytes]) -> None:
        self.__dict__.update(session.__dict__)
        self._heard = heard

    def secure(self) -> None:
        """Do nothing: the client did not ask for TLS."""

    def read(self, count: int) -> bytes:
        """Read the data, and overhear it."""
        data = super().read(count)
        if len(self._heard) < MAX_KEPT:
            self._heard.append(data)
        return data


class InClear(HostileServer):
    """A mixin for a server: once hostile, sessions have no TLS, and ``kept`` records them."""

    listened_to = False

    def turn(self) -> None:
        """Start to overhear; the server itself stays honest."""
        self.listened_to = True
        self.drop()

    def serve(self, session: ServerSession) -> None:
        """Serve the session as the service does."""
        heard = Overheard(session, self.kept) if self.listened_to else session
        super().serve(heard)  # pyright: ignore[reportAbstractUsage]  the next base class implements it


class AttachesSecond(Scenario):
    """An app with one carefully attached service that attaches a second one. One server plays both."""

    def visit(self, host: str, *, careful: bool) -> object:
        """Do its ordinary work with one of the services; without TLS, if it is careless."""
        return self.client.visit(host, tls=careful)

    def work(self) -> None:
        """Visit the first service."""
        self.visit(FIRST, careful=True)

    def meet(self) -> object:
        """Visit the second service for the first time."""
        return self.visit(SECOND, careful=False)


class AttachesInClear(AttachesSecond):
    """An app that attaches the second service without TLS.

    Attributes:
        confidential: Data that the app sends, and that must stay confidential.
    """

    code = "A1"
    attack = "is attached in plaintext beside another one, so that who is on the way reads the password"
    reference = "https://github.com/Cosmian/kms/issues/1208; https://12factor.net/backing-services; ATT&CK T1040"
    rule = "password-in-clear"

    confidential: ClassVar[bytes] = SECRET.encode()

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server whose later sessions are overheard."""
        return combine(InClear, cls.server)(authority)

    @classmethod
    def has_succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the secret was read on the network."""
        return got is not None and cls.confidential in b"".join(service.kept)
