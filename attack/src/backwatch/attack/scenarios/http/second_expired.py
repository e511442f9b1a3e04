"""A7 on urllib: the app attaches a second API with an expired certificate. The context ignores dates."""

from backwatch.attack.clients.urllib import Urllib
from backwatch.attack.protocols.http import Web
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.expired import ENDED_DAYS, dateless
from backwatch.attack.techniques.second import AttachesSecond


class HttpSecondExpired(AttachesSecond):
    """urllib uses the context as it is; chain and name are checked."""

    code = "A7"
    attack = "is attached beside another one, with a certificate that ended days ago and whose key got about"
    reference = "https://docs.zeek.org/en/master/scripts/policy/protocols/ssl/expiring-certs.zeek.html; ATT&CK T1649"
    rule = "certificate-expired"
    option = "verify_flags |= X509_V_FLAG_NO_CHECK_TIME"
    server = Web
    runs = (Run(Urllib),)

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Give the second API an expired certificate."""
        service.certificate = service.authority.issue("what was thrown away", days=-ENDED_DAYS)
        service.drop()

    def visit(self, host: str, *, careful: bool) -> object:
        """Fetch the rates."""
        del careful
        return self.client.visit(host, context=dateless(self.config.ca_file))
