"""ldap3: directories, over TLS from the first byte, by StartTLS, or over a unix socket."""

from collections.abc import Callable
from typing import Any, ClassVar

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.ldap3.observer import LdapWatch
from backwatch.collector.probes.toolkit.between import around
from backwatch.collector.probes.toolkit.dbapi import Make
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_REFUSABLE = ("search", "compare", "add", "delete", "modify", "modify_dn")


def _nothing(*_: object) -> None:
    pass


def _always(*_: object) -> bool:
    return True


def _answers(watch: LdapWatch) -> Make:
    """Wraps what waits for the answer to one request."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def getting(strategy: Any, message_id: int, timeout: Any) -> Any:
            try:
                answer = original(strategy, message_id, timeout)
            except BaseException as error:
                watch.answered(strategy, message_id, None, error)
                raise
            if answer is not None:  # else it was not there in time: it may come yet
                watch.answered(strategy, message_id, answer)
            return answer

        return getting

    return make


def _arrivals(watch: LdapWatch) -> Make:
    """Wraps what a reading thread does when an answer is complete, before the app is woken."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def setting(strategy: Any, message_id: int) -> Any:
            watch.arrived(strategy, message_id)
            return original(strategy, message_id)

        return setting

    return make


def _names(watch: LdapWatch) -> Make:
    """Wraps the check of the certificate's names, which is ldap3's own."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def checking(sock: Any, server_name: Any, additional_names: Any) -> Any:
            result = original(sock, server_name, additional_names)
            watch.named(sock, additional_names)
            return result

        return checking

    return make


def _refusals(watch: LdapWatch, operation: str) -> Make:
    """Wraps a method of the app's, for what ends before anything is sent."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def calling(connection: Any, *args: Any, **options: Any) -> Any:
            before = watch.calling(connection)
            try:
                return original(connection, *args, **options)
            except BaseException as error:
                if before is not None:
                    watch.refused(operation, connection, before, (args, options), error)
                raise

        return calling

    return make


class Ldap3Probe(PatchingProbe[LdapWatch]):
    """Directories: who binds, what is searched and changed, where referrals lead."""

    name: ClassVar[str] = "ldap3"
    module: ClassVar[str] = "ldap3"
    distributions: ClassVar[tuple[str, ...]] = ("ldap3>=2.8",)
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.ACCOUNT,
        names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT, names.BYTES_RECEIVED, names.BYTES_ESTIMATED,
        names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.REDIRECT_TARGET,
        names.STARTTLS_OFFERED,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps the strategies, through which all requests and answers go, and the app's own methods."""
        from ldap3.core import tls
        from ldap3.core.connection import Connection
        from ldap3.strategy.asynchronous import AsyncStrategy
        from ldap3.strategy.base import BaseStrategy
        from ldap3.strategy.reusable import ReusableStrategy
        from ldap3.strategy.sync import SyncStrategy

        self._patches = patches = Patches()
        self._watch = watch = LdapWatch(recorder)
        for strategy in (SyncStrategy, AsyncStrategy):
            patches.wrap(strategy, "open", around(watch.opening, watch.opened, watch.not_opened))
            patches.wrap(strategy, "_get_response", _answers(watch))
        patches.wrap(AsyncStrategy, "set_event_for_message", _arrivals(watch))
        patches.wrap(BaseStrategy, "_open_socket", around(_always, _nothing, watch.socket_failed))
        patches.wrap(BaseStrategy, "sending", around(watch.sending, watch.sent, watch.not_sent))
        patches.wrap(ReusableStrategy, "send", around(watch.queueing, _nothing, _nothing))
        patches.wrap(Connection, "bind", around(watch.binding, watch.bound, watch.not_bound))
        patches.wrap(Connection, "start_tls", around(watch.securing, watch.secured, watch.not_secured))
        for method in _REFUSABLE:
            patches.wrap(Connection, method, _refusals(watch, method))
        patches.wrap(tls, "check_hostname", _names(watch))
