"""A13: the name outlived its machine; who was given the address next has a certificate for it within the minute."""

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
        """Checks everything."""
        import ssl

        return ssl.create_default_context(cafile=self.config.ca_file)

    @classmethod
    def takes_over(cls, service: HostileServer, elsewhere: HostileServer) -> None:
        """The authority gives one to whoever is found at the name."""
        elsewhere.certificate = service.authority.issue("the next tenant")
