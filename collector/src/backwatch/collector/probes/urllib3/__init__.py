"""urllib3 1.26 and 2, and with it all that uses it: requests, botocore, most HTTP APIs of Python.

There is one call per request on the wire, so a redirect that the client follows is two, each with its own target; and
one ``connect`` per connection, so a failed handshake is seen. requests needs no probe of its own: each hop of its
redirects and each retry goes through urllib3. A request that a layer above claims (see ``http/claims.py``) is reported
by that layer alone.
"""

from backwatch.collector import names
from backwatch.collector.probes import Probe, Recorder
from backwatch.collector.probes.families.http.session import HTTP_FACTS
from backwatch.collector.probes.urllib3.hooks import HOOKS


class Urllib3Probe(Probe):
    """urllib3, and requests on it."""

    name = "urllib3"
    module = "urllib3"
    label = "requests, urllib3"
    service_kind = "HTTP, clouds, RPC"
    indicators = frozenset(("xml-entities", "xml-external", "prompt-injection-in-response", "deep"))
    distributions = ("urllib3>=1.26",)
    facts = HTTP_FACTS | {names.PAYLOAD_WIRE, names.PAYLOAD_SIZE, names.RESPONSE_INDICATORS}

    def install(self, recorder: Recorder) -> None:
        """Wrap urllib3's connections and pools, and the end of the standard library's response."""
        HOOKS.attach(self, recorder)

    def remove(self) -> None:
        """Restore the originals, unless another probe needs the hooks; record calls whose bodies have not ended."""
        HOOKS.detach(self, recording=True)
