"""Subclasses that take the place of confluent-kafka's own classes, which are C and cannot be wrapped.

They have no dictionary, and so the layout of the originals. So they can also be put below classes that exist already
(``SerializingProducer``, the app's own), and all instances are still instances of the driver's class.
"""

from functools import partial
from typing import Any

from backwatch.collector.probes.confluent_kafka.calls import ConfluentDelivery
from backwatch.collector.probes.confluent_kafka.observer import ConfluentCallObserver
from backwatch.collector.probes.toolkit.hooks import Decorator, Function, call_hook

_PRODUCER_OPERATIONS = (
    "init_transactions", "commit_transaction", "abort_transaction", "send_offsets_to_transaction", "list_topics",
)  # fmt: skip
_CONSUMER_OPERATIONS = ("commit", "committed", "offsets_for_times", "get_watermark_offsets", "list_topics")


def _new_subclass(observer: ConfluentCallObserver, original: Any, methods: dict[str, Any]) -> type:
    """Return the subclass, with those methods that this version of the driver has."""

    def __del__(self: Any) -> None:  # noqa: N807
        observer.flush(self)
        observer.clients.pop(id(self), None)

    namespace: dict[str, Any] = {"__doc__": original.__doc__, "__module__": original.__module__, "__slots__": ()}
    for name, wrap in methods.items():
        driver_method = getattr(original, name, None)
        if driver_method is not None:
            namespace[name] = method = wrap(driver_method)
            method.__name__, method.__doc__ = name, driver_method.__doc__
    namespace |= {"__init__": _wrap_init(observer, original.__init__), "__del__": __del__}
    return type(original.__name__, (original,), namespace)


def _operation_hooks(observer: ConfluentCallObserver, operations: tuple[str, ...]) -> dict[str, Decorator]:
    """Return the hooks of methods that wait for the broker; their first argument may name topics."""
    return {name: call_hook(partial(observer.on_operation, name), observer.on_operation_end) for name in operations}


def _wrap_init(observer: ConfluentCallObserver, original: Function) -> Any:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        given = args[0] if args and isinstance(args[0], dict) else {}
        observer.on_configure(self, {**given, **kwargs})
        listener = kwargs.get("error_cb") or given.get("error_cb")
        if callable(listener):
            # Without a listener of the app's librdkafka writes errors to its log: none is ever added.
            kwargs["error_cb"] = _wrap_error_listener(observer, id(self), listener)
        original(self, *args, **kwargs)

    return __init__


def _wrap_error_listener(observer: ConfluentCallObserver, client_id: int, original: Function) -> Function:
    def error_cb(error: Any, *args: Any) -> Any:
        observer.on_client_error(client_id, error)
        return original(error, *args)

    return error_cb


def new_producer_class(observer: ConfluentCallObserver, original: Any) -> type:
    """Return a producer class that records each message when it is acknowledged."""

    def wrap_produce(driver_produce: Function) -> Function:
        def produce(self: Any, *args: Any, **kwargs: Any) -> Any:
            delivery = observer.on_produce(self, args, kwargs)
            if delivery is None:
                return driver_produce(self, *args, **kwargs)
            args, kwargs = _with_callback(delivery, args, kwargs)
            try:
                result = driver_produce(self, *args, **kwargs)
            except BaseException as error:
                observer.on_produce_end(delivery, error)
                raise
            observer.on_produce_end(delivery, None)
            return result

        return produce

    return _new_subclass(observer, original, {
        "produce": wrap_produce,
        "produce_batch": call_hook(observer.on_produce_batch, observer.on_produce_batch_end),
        **_operation_hooks(observer, _PRODUCER_OPERATIONS),
    })  # fmt: skip


def _with_callback(
    delivery: ConfluentDelivery, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the same arguments, with the delivery in place of the app's callback."""
    if delivery.client.reports_only_errors:
        return args, kwargs
    if len(args) > 4:
        return (*args[:4], delivery, *((None,) if len(args) > 5 else ()), *args[6:]), kwargs
    return args, {**{name: value for name, value in kwargs.items() if name != "callback"}, "on_delivery": delivery}


def new_consumer_class(observer: ConfluentCallObserver, original: Any) -> type:
    """Return a consumer class that records together what is received one by one."""
    return _new_subclass(observer, original, {
        "poll": call_hook(observer.on_poll, observer.on_poll_end),
        "consume": call_hook(observer.on_poll, observer.on_consume_end),
        "close": call_hook(observer.on_close),
        "__exit__": call_hook(observer.on_close),
        **_operation_hooks(observer, _CONSUMER_OPERATIONS),
    })  # fmt: skip
