"""A9: DNS points to an attacker that has the wildcard certificate of the shop's machines."""

import ssl

from backwatch.attack.authority import Certificate
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.name_moved import NameMoved


class NameHijacked(NameMoved):
    """On aiohttp, with a context that checks the chain and not the name."""

    code = "A9"
    attack = "is answered for by a name server that names another machine, which has the same certificate"
    reference = "https://attack.mitre.org/techniques/T1584/002/; ATT&CK T1557"
    rule = "peer-changed"
    option = "check_hostname=False"

    def context(self) -> ssl.SSLContext:
        """Return a context that checks the chain only."""
        context = super().context()
        context.check_hostname = False
        return context

    @classmethod
    def certificate(cls, service: HostileServer) -> Certificate:
        """Return the shared wildcard certificate and key."""
        return service.certificate
