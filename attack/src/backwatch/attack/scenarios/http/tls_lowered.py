"""A8 on requests: every client falls back to TLS 1.2 if the server supports nothing newer."""

from backwatch.attack.clients.requests import Requests
from backwatch.attack.protocols.http import Web
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.old_tls import LoweredTls


class HttpTlsLowered(LoweredTls):
    """requests sets no minimum version above 1.2; chain and name are checked."""

    server = Web
    runs = (Run(Requests),)
