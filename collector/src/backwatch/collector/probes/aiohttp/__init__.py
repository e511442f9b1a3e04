"""aiohttp's client: sessions, connectors over TCP and unix sockets, proxies, WebSockets; see ``observer.py``."""

from backwatch.collector import names
from backwatch.collector.probes import Probe, Recorder
from backwatch.collector.probes.aiohttp.hooks import HOOKS
from backwatch.collector.probes.families.http.session import HTTP_FACTS


class AiohttpProbe(Probe):
    """aiohttp, as a client."""

    name = "aiohttp"
    module = "aiohttp"
    label = "aiohttp"
    service_kind = "HTTP, clouds, RPC"
    distributions = ("aiohttp>=3.8.3",)
    facts = HTTP_FACTS | {names.BYTES_ESTIMATED, names.PAYLOAD_WIRE, names.PAYLOAD_SIZE}

    def install(self, recorder: Recorder) -> None:
        """Wrap connectors, requests, responses and connections."""
        HOOKS.attach(self, recorder)

    def remove(self) -> None:
        """Restore the originals, unless another probe needs the hooks; record calls whose bodies have not ended."""
        HOOKS.detach(self, recording=True)
