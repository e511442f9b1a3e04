"""A third-party API that, once hostile, redirects the app to the cloud's metadata address.

A client that follows the redirect leaks the machine's credentials. The demo's app stops there: nothing is contacted.
"""

from backwatch.attack.protocols.http import Request, Web, format_response

TARGET = b"http://169.254.169.254/latest/meta-data/iam/security-credentials/"


class HTTP(Web):
    """Returns exchange rates; once hostile, redirects to the metadata address."""

    attack = "redirects the app to the cloud's metadata address"
    reference = "OWASP API10:2023; ATT&CK T1552.005"

    target = TARGET
    """Target of the redirect."""

    def answer(self, request: Request) -> bytes:
        """Return a redirect, once hostile."""
        if not self.hostile:
            return super().answer(request)
        return format_response(b"", status=b"302 Found", headers=(b"Location: " + self.target,))
