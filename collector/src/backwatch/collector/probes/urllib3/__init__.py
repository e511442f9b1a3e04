"""urllib3 1.26 and 2, and with it everything that rides on it: requests, botocore, most HTTP APIs of Python.

One call per request on the wire, so a redirect that the client follows is two, each with where it was sent; and one
``connect`` per connection, so a failed handshake is seen. requests needs no probe of its own: each hop of its redirects
and each retry goes through here. What a layer above claims (see ``http/claims.py``) is told by that layer alone.
"""

from typing import ClassVar

from backwatch.collector import names
from backwatch.collector.probes import Probe, Recorder
from backwatch.collector.probes.urllib3.hooks import HOOKS


class Urllib3Probe(Probe):
    """urllib3, and requests on it."""

    name: ClassVar[str] = "urllib3"
    module: ClassVar[str] = "urllib3"
    distributions: ClassVar[tuple[str, ...]] = ("urllib3>=1.26",)
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.HTTP_METHOD,
        names.HTTP_STATUS, names.URL_SECRET, names.ACCOUNT, names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT,
        names.BYTES_RECEIVED, names.ERROR_TYPE, names.REDIRECT_TARGET, names.PAYLOAD_WIRE, names.PAYLOAD_SIZE,
        names.RESPONSE_INDICATORS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps urllib3's connections and pools, and the end of the standard library's response."""
        HOOKS.attach(self, recorder)

    def remove(self) -> None:
        """Restores them, unless another probe needs them; what still waits for its body is told as it stands."""
        HOOKS.detach(self, recording=True)
