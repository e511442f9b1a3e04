"""confluent-kafka 2: producers, consumers, administrators; asyncio's and the (de)serialising ones ride on these.

A message is told when the broker's word on it reaches the app (in ``poll`` or ``flush``); what is taken one by one is
told together. The classes are C: subclasses stand in for them (``_confluent_classes``).
"""

import importlib
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, ClassVar, Final

from backwatch.collector import names
from backwatch.collector.probes import Probe, Recorder
from backwatch.collector.probes.confluent_kafka.calls import ConfluentWatch
from backwatch.collector.probes.confluent_kafka.classes import consumer, producer
from backwatch.collector.probes.toolkit.patches import Patches

_Make = Callable[[Callable[..., Any]], Callable[..., Any]]
_NO_CALLS: Final = frozenset(("poll", "close", "set_sasl_credentials"))


def _administering(watch: ConfluentWatch, operation: str) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns = watch.began(self)
            if not start_ns:
                return original(self, *args, **kwargs)
            first = args[0] if args else next(iter(kwargs.values()), None)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                watch.done(self, start_ns, operation, first, None, error)
                raise
            watch.promised(self, start_ns, operation, first, result)
            return result

        return wrapper

    return make


def _configuring(watch: ConfluentWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            given = args[0] if args else kwargs.get("conf")
            watch.made_administrator(self, given if isinstance(given, dict) else kwargs)
            original(self, *args, **kwargs)

        return __init__

    return make


class ConfluentKafkaProbe(Probe):
    """confluent-kafka: librdkafka's producers, consumers and administrators."""

    name: ClassVar[str] = "confluent_kafka"
    module: ClassVar[str] = "confluent_kafka"
    distributions: ClassVar[tuple[str, ...]] = ("confluent-kafka>=2.0.2",)
    facts: ClassVar[frozenset[str]] = frozenset({
        names.MESSAGING_SYSTEM, names.MESSAGING_DESTINATION, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION,
        names.STATEMENT, names.TLS_ESTABLISHED, names.TLS_REQUESTED, names.TLS_REQUESTED_EXPLICIT, names.TLS_VERIFIED,
        names.TRANSPORT, names.ACCOUNT, names.SERVER_ID, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
        names.BYTES_ESTIMATED, names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE,
        names.TOPOLOGY, names.PAYLOAD_FORMAT, names.PAYLOAD_GLOBALS,
    })  # fmt: skip
    _watch: ConfluentWatch | None = None
    _patches: Patches | None = None
    _replaced: "list[tuple[Any, str, object, object]]"
    _based: "list[tuple[Any, tuple[type, ...], tuple[type, ...]]]"

    def install(self, recorder: Recorder) -> None:
        """Puts our classes in the place of the driver's, and wraps the administrator's methods."""
        driver: Any = importlib.import_module("confluent_kafka")
        core: Any = importlib.import_module("confluent_kafka.cimpl")
        self._watch = watch = ConfluentWatch(recorder, names_by_default=driver.libversion()[1] >= 0x02000000)
        self._replaced, self._based, self._patches = [], [], Patches()
        for original, make in ((core.Producer, producer), (core.Consumer, consumer)):
            ours = make(watch, original)
            self._rebase(original, ours)
            self._replace(original, ours)
        self._wrap_administration(watch, self._patches)

    def _rebase(self, original: Any, ours: type) -> None:
        """Puts ours below the classes that are made from the driver's already."""
        for child in original.__subclasses__():
            if child is ours:
                continue
            before = child.__bases__
            after = tuple(ours if base is original else base for base in before)
            try:
                child.__bases__ = after
            except TypeError:  # of a layout that has no room for ours: its calls are not seen
                continue
            self._based.append((child, before, after))

    def _replace(self, original: Any, ours: type) -> None:
        """In every module of the driver that knows the class by name."""
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == self.module:
                for attribute, value in list(vars(module).items()):
                    if value is original:
                        setattr(module, attribute, ours)
                        self._replaced.append((module, attribute, value, ours))

    def _wrap_administration(self, watch: ConfluentWatch, patches: Patches) -> None:
        admin: Any = importlib.import_module("confluent_kafka.admin").AdminClient
        patches.wrap(admin, "__init__", _configuring(watch))
        for method in dir(admin):
            if not method.startswith("_") and method not in _NO_CALLS:
                known = getattr(admin, method)
                if isinstance(known, FunctionType):
                    patches.wrap(admin, method, _administering(watch, method))

    def remove(self) -> None:
        """Puts the driver's own back. Objects that the app has already are mere passages from now on."""
        if self._watch is not None:
            self._watch.recorder = None
        if self._patches is not None:
            self._patches.restore()
            for module, attribute, value, ours in self._replaced:
                if vars(module).get(attribute) is ours:
                    setattr(module, attribute, value)
            for child, before, after in self._based:
                if child.__bases__ == after:
                    child.__bases__ = before
            self._replaced, self._based = [], []
