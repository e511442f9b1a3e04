"""A13: a name outlived its machine. The next owner of the address gets a certificate for it."""

from typing import Any

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.name_moved import NameMoved


class NameTakenOver(NameMoved):
    """On aiohttp, which checks chain and name: both are right."""

    code = "A13"
    attack = "was given up, and its name leads to the next tenant, who has got a certificate for it"
    reference = "https://cwe.mitre.org/data/definitions/350.html; ATT&CK T1584.001"
    rule = "certificate-changed"

    def context(self) -> Any:
        """Return a context that checks everything."""
        import ssl

        return ssl.create_default_context(cafile=self.config.ca_file)

    @classmethod
    def takes_over(cls, service: HostileServer, elsewhere: HostileServer) -> None:
        """Issue a valid certificate to the new owner of the name."""
        elsewhere.certificate = service.authority.issue("the next tenant")
