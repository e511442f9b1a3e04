"""A1 on requests: the app fetches from a second API by ``http://``."""

from backwatch.attack.clients.requests import Requests
from backwatch.attack.protocols.http import Web
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.second import AttachesInClear


class HttpSecond(AttachesInClear):
    """The URL lacks an ``s``: requests and responses can be read and changed on the network."""

    attack = "is fetched from in plaintext beside another one, so that who is on the way reads what is asked"
    rule = "plaintext-session"
    server = Web
    confidential = b"GET /rates"
    runs = (Run(Requests),)
