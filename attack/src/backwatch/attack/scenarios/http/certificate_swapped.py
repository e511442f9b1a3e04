"""A6 on requests: another certificate is taken for the old one's equal."""

from backwatch.attack.protocols.http import Web
from backwatch.attack.scenarios.http.redirect_requests import RedirectRequests
from backwatch.attack.techniques.certificate import CertificateSwapped


class HttpSwapped(CertificateSwapped, RedirectRequests):
    """requests checks chain and name, and remembers nothing."""

    honest = Web
