"""A6 on requests: another certificate is taken for the old one's equal."""

from backwatch.attack.entries import run
from backwatch.attack.entries._certificate import CertificateSwapped
from backwatch.attack.entries.http_redirect_requests import RedirectRequests
from backwatch.attack.protocols.http import Web


class HttpSwapped(CertificateSwapped, RedirectRequests):
    """requests checks chain and name, and remembers nothing."""

    honest = Web


if __name__ == "__main__":
    run(HttpSwapped)
