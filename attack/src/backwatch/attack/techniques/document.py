"""D5: an API responds with a document that harms its parser."""

from abc import abstractmethod
from typing import ClassVar

from backwatch.attack.authority import Authority
from backwatch.attack.clients.requests import Requests
from backwatch.attack.protocols.http import Request, Web
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Run, Scenario


class Documents(Web):
    """One document, honest at first."""

    def __init__(self, authority: Authority, kind: bytes, honest: bytes, hostile: bytes) -> None:
        super().__init__(authority)
        self._documents = kind, honest, hostile

    def answer(self, request: Request) -> bytes:
        """Return the document."""
        del request
        kind, honest, hostile = self._documents
        body = hostile if self.hostile else honest
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
        return head + body


class ReadsDocuments(Scenario):
    """An app that fetches the rates as a document. The standard library parses it.

    Attributes:
        kind: ``Content-Type`` of the document.
        honest, hostile: The document, before and after.
    """

    code = "D5"
    rule = "hostile-document"
    runs = (Run(Requests),)
    kind: ClassVar[bytes] = b"application/xml"
    honest: ClassVar[bytes] = b'<?xml version="1.0"?><rates base="EUR"><USD>1.08</USD><GBP>0.85</GBP></rates>'
    hostile: ClassVar[bytes]

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the server, honest at first."""
        return Documents(authority, cls.kind, cls.honest, cls.hostile)

    @abstractmethod
    def read(self, text: bytes) -> object:
        """Parse the document, and return the result."""

    def work(self) -> object:
        """Fetch the rates, and read them."""
        return self.read(self.client.get(self.client.url("/rates.xml")))
