"""A1, A7: the app attaches a second service beside the old one, and does not look what it attaches.

The second one has the same port and another name: by it, a resource of its own.
"""

from abc import abstractmethod
from typing import ClassVar

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import LOOPBACK, MOST_KEPT, HostileServer, Session
from backwatch.attack.scenarios import SECRET, Scenario

FIRST = "localhost"
SECOND = LOOPBACK
"""The same host as another name for it, which no alert of the first one is about."""


class Overheard(Session):
    """A session that stays as it is; whoever is on its way hears what the client says.

    Args:
        session: The accepted one.
        heard: Where that goes.
    """

    def __init__(self, session: Session, heard: list[bytes]) -> None:
        self.__dict__.update(session.__dict__)
        self._heard = heard

    def secure(self) -> None:
        """Nobody asked for it."""

    def read(self, count: int) -> bytes:
        """As it came, and overheard."""
        data = super().read(count)
        if len(self._heard) < MOST_KEPT:
            self._heard.append(data)
        return data


class InClear(HostileServer):
    """Goes before a service in the list of bases: once it has turned, there is no TLS; what is said is in ``kept``."""

    listened_to = False

    def turn(self) -> None:
        """Hostile in nothing: who listens stands on the way."""
        self.listened_to = True
        self.drop()

    def serve(self, session: Session) -> None:
        """As the service does."""
        heard = Overheard(session, self.kept) if self.listened_to else session
        super().serve(heard)  # pyright: ignore[reportAbstractUsage]  the service's, which follows


class AttachesSecond(Scenario):
    """An app that has one service, attached with care, and gets another.

    Attributes:
        service_class: The service.
    """

    service_class: ClassVar[type[HostileServer]]

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return one server that plays both."""
        return cls.service_class(authority)

    @abstractmethod
    def visit(self, host: str, *, careful: bool) -> object:
        """Its ordinary work with one of them."""

    def work(self) -> None:
        """With the first."""
        self.visit(FIRST, careful=True)

    def meet(self) -> object:
        """With the second, for the first time."""
        return self.visit(SECOND, careful=False)


class AttachesInClear(AttachesSecond):
    """The second one is attached without TLS: nobody thought of it.

    Attributes:
        said: What must not be read by others, and is.
    """

    code = "A1"
    attack = "is attached in plaintext beside another one, so that who is on the way reads the password"
    reference = "https://github.com/Cosmian/kms/issues/1208; https://12factor.net/backing-services; ATT&CK T1040"
    rule = "password-in-clear"

    said: ClassVar[bytes] = SECRET.encode()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the secret was read on the network."""
        return got is not None and cls.said in b"".join(service.kept)
