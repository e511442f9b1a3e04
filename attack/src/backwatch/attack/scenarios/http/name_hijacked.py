"""A9: a name server lies, and where it leads there is the wildcard certificate that all of the shop's machines have."""

from typing import Any

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.name_moved import NameMoved


class NameHijacked(NameMoved):
    """On aiohttp, with a context that checks the chain and not the name."""

    code = "A9"
    attack = "is answered for by a name server that names another machine, which has the same certificate"
    reference = "https://attack.mitre.org/techniques/T1584/002/; ATT&CK T1557"
    rule = "peer-changed"
    option = "check_hostname=False"

    def context(self) -> Any:
        """Checks the chain."""
        import ssl

        context = ssl.create_default_context(cafile=self.config.ca_file)
        context.check_hostname = False
        return context

    @classmethod
    def takes_over(cls, service: HostileServer, elsewhere: HostileServer) -> None:
        """Certificate and key were on more machines than one."""
        elsewhere.certificate = service.certificate
