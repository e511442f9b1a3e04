"""A13: a name outlived its machine. The next owner of the address gets a certificate for it."""

from backwatch.attack.authority import Certificate
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.name_moved import NameMoved


class NameTakenOver(NameMoved):
    """On aiohttp, which checks chain and name: both are right."""

    code = "A13"
    attack = "was given up, and its name leads to the next tenant, who has got a certificate for it"
    reference = "https://cwe.mitre.org/data/definitions/350.html; ATT&CK T1584.001"
    rule = "certificate-changed"

    @classmethod
    def certificate(cls, service: HostileServer) -> Certificate:
        """Return a valid certificate of the new owner of the name."""
        return service.authority.issue("the next tenant")
