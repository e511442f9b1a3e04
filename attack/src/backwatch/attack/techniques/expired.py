"""A7: an expired certificate whose key leaked, for clients configured to ignore dates."""

import ssl
from typing import Final

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

NO_CHECK_TIME: Final = 0x20_0000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which Python has no name."""
ENDED_DAYS: Final = 5


class ShowsExpired(Scenario):
    """A mixin for an app whose context ignores dates. List it first among the bases."""

    code = "A7"
    attack = "shows a certificate of the same authority that ended days ago"
    reference = "https://docs.zeek.org/en/master/scripts/policy/protocols/ssl/expiring-certs.zeek.html; ATT&CK T1649"
    rule = "certificate-changed"
    option = "verify_flags |= X509_V_FLAG_NO_CHECK_TIME"

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Serve an expired certificate, whose key is no longer guarded."""
        service.certificate = service.authority.issue("what was thrown away", days=-ENDED_DAYS)
        service.drop()

    def tls_context(self) -> ssl.SSLContext:
        """Return a context that ignores dates."""
        return dateless(self.config.ca_file)


def dateless(ca_file: str) -> ssl.SSLContext:
    """Return a context that checks chain and name, but no dates. It is a common workaround for a wrong clock."""
    context = ssl.create_default_context(cafile=ca_file)
    context.verify_flags |= NO_CHECK_TIME
    return context
