"""confluent-kafka 2: producers, consumers, administrators; asyncio's and the (de)serialising ones are built on these.

A message is recorded when the broker's response reaches the app (in ``poll`` or ``flush``). Messages received one by
one are recorded together. The classes are C: subclasses take their place (see ``classes.py``).
"""

import importlib
import sys
from functools import partial
from types import FunctionType
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.confluent_kafka.classes import new_consumer_class, new_producer_class
from backwatch.collector.probes.confluent_kafka.observer import ConfluentCallObserver
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_NO_CALLS: Final = frozenset(("poll", "close", "set_sasl_credentials"))


class ConfluentKafkaProbe(PatchingProbe[ConfluentCallObserver]):
    """confluent-kafka: librdkafka's producers, consumers and administrators."""

    name = "confluent_kafka"
    module = "confluent_kafka"
    label = "confluent-kafka"
    service_kind = "Queues"
    distributions = ("confluent-kafka>=2.0.2",)
    facts = frozenset({
        names.MESSAGING_SYSTEM, names.MESSAGING_DESTINATION, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION,
        names.STATEMENT, names.TLS_ESTABLISHED, names.TLS_REQUESTED, names.TLS_REQUESTED_EXPLICIT, names.TLS_VERIFIED,
        names.TRANSPORT, names.ACCOUNT, names.SERVER_ID, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
        names.BYTES_ESTIMATED, names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE,
        names.TOPOLOGY, names.PAYLOAD_FORMAT, names.PAYLOAD_CONTAINERS, names.PAYLOAD_GLOBALS,
    })  # fmt: skip
    _replaced: "list[tuple[Any, str, object, object]]"
    """Module, attribute, the driver's class and the subclass in its place."""
    _rebased: "list[tuple[Any, tuple[type, ...], tuple[type, ...]]]"
    """Class, its bases before and after."""

    def install(self, recorder: Recorder) -> None:
        """Put subclasses in the place of the driver's classes, and wrap the administrator's methods."""
        driver: Any = importlib.import_module("confluent_kafka")
        core: Any = importlib.import_module("confluent_kafka.cimpl")
        self._observer = observer = ConfluentCallObserver(recorder, checks_names=driver.libversion()[1] >= 0x02000000)
        self._replaced, self._rebased, self._patches = [], [], Patches()
        for original, new_class in ((core.Producer, new_producer_class), (core.Consumer, new_consumer_class)):
            subclass = new_class(observer, original)
            self._rebase(original, subclass)
            self._replace(original, subclass)
        _wrap_admin(observer, self._patches)

    def _rebase(self, original: Any, subclass: type) -> None:
        """Put the subclass below the classes that are derived from the driver's already."""
        for child in original.__subclasses__():
            if child is subclass:
                continue
            before = child.__bases__
            after = tuple(subclass if base is original else base for base in before)
            try:
                child.__bases__ = after
            except TypeError:  # its layout has no room for the subclass: its calls are not observed
                continue
            self._rebased.append((child, before, after))

    def _replace(self, original: Any, subclass: type) -> None:
        """Replace the driver's class in every module of the driver that has it."""
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == self.module:
                for attribute, value in list(vars(module).items()):
                    if value is original:
                        setattr(module, attribute, subclass)
                        self._replaced.append((module, attribute, value, subclass))

    def remove(self) -> None:
        """Put the driver's classes back. Objects that the app has already only pass calls through from now on."""
        super().remove()
        if self._patches is not None:
            for module, attribute, value, subclass in self._replaced:
                if vars(module).get(attribute) is subclass:
                    setattr(module, attribute, value)
            for child, before, after in self._rebased:
                if child.__bases__ == after:
                    child.__bases__ = before
            self._replaced, self._rebased = [], []


def _wrap_admin(observer: ConfluentCallObserver, patches: Patches) -> None:
    admin: Any = importlib.import_module("confluent_kafka.admin").AdminClient
    patches.wrap(admin, "__init__", call_hook(observer.on_configure_admin))
    for method in dir(admin):
        is_public = not method.startswith("_") and method not in _NO_CALLS
        if is_public and isinstance(getattr(admin, method), FunctionType):
            patches.wrap(admin, method, call_hook(partial(observer.on_operation, method), observer.on_admin_end))
