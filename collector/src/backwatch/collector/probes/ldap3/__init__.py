"""ldap3: directories, over TLS from the first byte, by StartTLS, or over a unix socket."""

from functools import partial

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.ldap3.observer import LdapCallObserver
from backwatch.collector.probes.toolkit.hooks import call_hook, function_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_METHODS = ("search", "compare", "add", "delete", "modify", "modify_dn")


class Ldap3Probe(PatchingProbe[LdapCallObserver]):
    """Directories: binds, searches and changes, and the targets of referrals."""

    name = "ldap3"
    module = "ldap3"
    label = "ldap3"
    service_kind = "Mail, files, directories"
    distributions = ("ldap3>=2.8",)
    facts = names.OVER_TLS | {
        names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.ACCOUNT,
        names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT, names.BYTES_RECEIVED, names.BYTES_ESTIMATED,
        names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.REDIRECT_TARGET,
        names.STARTTLS_OFFERED, names.QUERY_SIGNS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap the strategies, which send requests and read responses, and the app's own methods."""
        from ldap3.core import tls
        from ldap3.core.connection import Connection
        from ldap3.strategy.asynchronous import AsyncStrategy
        from ldap3.strategy.base import BaseStrategy
        from ldap3.strategy.reusable import ReusableStrategy
        from ldap3.strategy.sync import SyncStrategy

        self._patches = patches = Patches()
        self._observer = observer = LdapCallObserver(recorder)
        for strategy in (SyncStrategy, AsyncStrategy):
            patches.wrap(strategy, "open", call_hook(observer.on_open, observer.on_open_end))
            patches.wrap(strategy, "_get_response", call_hook(None, observer.on_response))
        patches.wrap(AsyncStrategy, "set_event_for_message", call_hook(observer.on_arrival))
        patches.wrap(BaseStrategy, "_open_socket", call_hook(None, observer.on_open_socket_end))
        patches.wrap(BaseStrategy, "sending", call_hook(observer.on_send, observer.on_send_end))
        patches.wrap(ReusableStrategy, "send", call_hook(observer.on_queue))
        patches.wrap(Connection, "bind", call_hook(observer.on_bind, observer.on_bind_end))
        patches.wrap(Connection, "start_tls", call_hook(observer.on_starttls, observer.on_starttls_end))
        for method in _METHODS:
            patches.wrap(Connection, method, call_hook(observer.on_call, partial(observer.on_call_end, method)))
        patches.wrap(tls, "check_hostname", function_hook(None, observer.on_check_name_end))
