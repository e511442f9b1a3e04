"""aiohttp's client: sessions, connectors over TCP and unix sockets, proxies, WebSockets; see ``observer.py``."""

from typing import ClassVar

from backwatch.collector import names
from backwatch.collector.probes import Probe, Recorder, ServiceKind
from backwatch.collector.probes.aiohttp.hooks import HOOKS


class AiohttpProbe(Probe):
    """aiohttp, as a client."""

    name: ClassVar[str] = "aiohttp"
    module: ClassVar[str] = "aiohttp"
    label: ClassVar[str] = "aiohttp"
    service_kind: ClassVar[ServiceKind] = "HTTP, clouds, RPC"
    distributions: ClassVar[tuple[str, ...]] = ("aiohttp>=3.8.3",)
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.HTTP_METHOD,
        names.HTTP_STATUS, names.URL_SECRET, names.ACCOUNT, names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT,
        names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ERROR_TYPE, names.REDIRECT_TARGET, names.PAYLOAD_WIRE,
        names.PAYLOAD_SIZE,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap connectors, requests, responses and connections."""
        HOOKS.attach(self, recorder)

    def remove(self) -> None:
        """Restore the originals, unless another probe needs the hooks; record calls whose bodies have not ended."""
        HOOKS.detach(self, recording=True)
