"""Hooks around the layers of Elasticsearch's and OpenSearch's clients, sync and async."""

import contextlib
import sys
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.claims import CURRENT_CLAIM
from backwatch.collector.probes.families.search.observer import SearchCallObserver
from backwatch.collector.probes.toolkit.hooks import Exit, async_call_hook, call_hook, parameter_names
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

if TYPE_CHECKING:
    from backwatch.collector.probes.toolkit.shared_hooks import SharedHooks

FACTS: Final = names.OVER_TLS | {
    names.DB_SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.QUERY_TEXT,
    names.HTTP_STATUS, names.STATUS_CODE, names.ACCOUNT, names.AUTH_METHOD, names.SERVER_VERSION, names.SERVER_ID,
    names.BYTES_SENT, names.BYTES_RECEIVED, names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE,
    names.REDIRECT_TARGET, names.TOPOLOGY, names.NOTICES, names.PAYLOAD_WIRE, names.PAYLOAD_SIZE,
}  # fmt: skip
"""All facts that the probes of both clients report."""


class HttpLibraries:
    """The HTTP libraries below a client. They hand over claimed requests once the app has imported them."""

    LIBRARIES: Final[tuple[str, ...]] = ("urllib3", "aiohttp")

    def __init__(self, user: object) -> None:
        self._user = user
        self._left = list(self.LIBRARIES)
        self._hooks: list[SharedHooks[Any]] = []

    def attach(self) -> None:
        """Attach to the libraries that are imported by now."""
        for library in [name for name in self._left if name in sys.modules]:
            self._left.remove(library)
            if library == "urllib3":
                from backwatch.collector.probes.urllib3.hooks import HOOKS as URLLIB3

                hooks: SharedHooks[Any] = URLLIB3
            else:
                from backwatch.collector.probes.aiohttp.hooks import HOOKS as AIOHTTP

                hooks = AIOHTTP
            hooks.attach(self._user, None)
            self._hooks.append(hooks)

    def detach(self) -> None:
        """Detach from all of them."""
        while self._hooks:
            self._hooks.pop().detach(self._user)
        self._left = list(self.LIBRARIES)


class SearchProbe(PatchingProbe[SearchCallObserver]):
    """The probe of a search client."""

    facts = FACTS

    _libraries: HttpLibraries | None = None

    def _observe(self, recorder: Recorder, system: str, body_of: Any) -> tuple[Patches, SearchCallObserver]:
        self._patches, self._libraries = Patches(), HttpLibraries(self)
        self._observer = SearchCallObserver(recorder, system, self._libraries.attach, body_of)
        return self._patches, self._observer

    def remove(self) -> None:
        """Restore the originals."""
        super().remove()
        if self._libraries is not None:
            self._libraries.detach()


def wrap_client(patches: Patches, observer: SearchCallObserver, owner: Any, *, asynchronous: bool) -> None:
    """Wrap ``perform_request`` of a client, which names its endpoint."""
    hook = async_call_hook if asynchronous else call_hook
    patches.wrap(owner, "perform_request", hook(observer.on_client_call, scope=observer.endpoint))


def wrap_transport(patches: Patches, observer: SearchCallObserver, owner: Any, *, asynchronous: bool) -> None:
    """Wrap ``perform_request`` of a transport."""
    hook = async_call_hook if asynchronous else call_hook
    on_call = partial(observer.on_call, parameter_names(owner.perform_request))
    patches.wrap(owner, "perform_request", hook(on_call, observer.on_call_end, scope=observer.operation))


def wrap_node(
    patches: Patches, observer: SearchCallObserver, owner: Any, on_response: Exit, *, asynchronous: bool
) -> None:
    """Wrap ``perform_request`` of a node: one request on the wire."""
    hook = async_call_hook if asynchronous else call_hook
    patches.wrap(owner, "perform_request", hook(observer.on_node_request, on_response, scope=CURRENT_CLAIM))


def wrap_connections(patches: Patches, observer: SearchCallObserver, package: str, async_module: str) -> None:
    """Wrap an older client: Elasticsearch's before 8, and OpenSearch's.

    Args:
        async_module: The module of another class of asynchronous connections.
    """
    for module, name, asynchronous in (
        (f"{package}.transport", "Transport", False),
        (f"{package}._async.transport", "AsyncTransport", True),
    ):
        with contextlib.suppress(ImportError):  # the asynchronous one needs aiohttp
            wrap_transport(patches, observer, getattr(import_module(module), name), asynchronous=asynchronous)
    for module, name, asynchronous in (
        (f"{package}.connection", "Urllib3HttpConnection", False),
        (f"{package}.connection", "RequestsHttpConnection", False),
        (f"{package}._async.http_aiohttp", "AIOHttpConnection", True),
        (async_module, "AsyncHttpConnection", True),
    ):
        with contextlib.suppress(ImportError):  # likewise
            owner = getattr(import_module(module), name, None)
            on_response = observer.on_connection_response
            wrap_node(patches, observer, owner, on_response, asynchronous=asynchronous)
