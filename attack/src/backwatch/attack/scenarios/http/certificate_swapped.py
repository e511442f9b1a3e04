"""A6: the client accepts another certificate of the same authority."""

from backwatch.attack.clients.requests import Requests
from backwatch.attack.protocols.http import Web
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.certificate import CertificateSwapped


class HttpSwapped(CertificateSwapped):
    """requests checks chain and name, and remembers nothing."""

    server = Web
    runs = (Run(Requests),)
