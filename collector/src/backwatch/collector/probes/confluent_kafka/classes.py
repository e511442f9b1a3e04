"""Classes that stand in for confluent-kafka's own, which are C and cannot be wrapped.

Subclasses without a dictionary: they have the originals' layout, so they can also be put below classes that exist
already (``SerializingProducer``, the app's own), and all that were instances of the driver's class still are.
"""

from collections.abc import Callable
from typing import Any

from backwatch.collector.probes.confluent_kafka.calls import ConfluentWatch, Delivery


def _stand_in(watch: ConfluentWatch, original: Any, methods: dict[str, Any]) -> type:
    def __del__(self: Any) -> None:  # noqa: N807
        watch.flush(self)
        watch.clients.pop(id(self), None)

    methods = {name: one for name, one in methods.items() if hasattr(original, name)}
    methods |= {"__init__": _configuring(watch, original.__init__), "__del__": __del__, "__slots__": ()}
    same = {"__doc__": original.__doc__, "__module__": original.__module__}
    return type(original.__name__, (original,), {**same, **methods})


def _configuring(watch: ConfluentWatch, original: Callable[..., Any]) -> Any:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        given = args[0] if args and isinstance(args[0], dict) else {}
        watch.made(self, {**given, **kwargs})
        listening = kwargs.get("error_cb") or given.get("error_cb")
        if callable(listening):
            # Without a listener of the app's librdkafka writes errors to its log: none is ever added.
            kwargs["error_cb"] = _listening(watch, id(self), listening)
        original(self, *args, **kwargs)

    return __init__


def _listening(watch: ConfluentWatch, key: int, original: Callable[..., Any]) -> Callable[..., Any]:
    def error_cb(error: Any, *args: Any) -> Any:
        watch.troubled(key, error)
        return original(error, *args)

    return error_cb


def _asking(watch: ConfluentWatch, original: Callable[..., Any], operation: str) -> Any:
    """A method that waits for its answer; its first argument may name topics."""

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
        watch.done(self, start_ns, operation, first, result, None)
        return result

    wrapper.__name__ = operation
    wrapper.__doc__ = original.__doc__
    return wrapper


def _methods(watch: ConfluentWatch, original: Any, asked: tuple[str, ...]) -> dict[str, Any]:
    return {name: _asking(watch, getattr(original, name), name) for name in asked if hasattr(original, name)}


def producer(watch: ConfluentWatch, original: Any) -> type:
    """A producer: each message is told when it is acknowledged."""

    def produce(self: Any, *args: Any, **kwargs: Any) -> Any:
        def part(at: int, name: str) -> Any:
            return args[at] if len(args) > at else kwargs.get(name)

        app = part(4, "callback") or part(5, "on_delivery")
        parts = part(0, "topic"), part(1, "value"), part(2, "key"), part(7, "headers")
        delivery = watch.sending(self, app, parts)
        if delivery is None:
            return original.produce(self, *args, **kwargs)
        args, kwargs = _with(delivery, args, kwargs)
        try:
            result = original.produce(self, *args, **kwargs)
        except BaseException as error:
            watch.handed_over(delivery, error)
            raise
        watch.handed_over(delivery, None)
        return result

    def produce_batch(self: Any, *args: Any, **kwargs: Any) -> Any:
        start_ns = watch.began(self)
        topic = args[0] if args else kwargs.get("topic")
        messages = args[1] if len(args) > 1 else kwargs.get("messages")
        try:
            count = original.produce_batch(self, *args, **kwargs)
        except BaseException as error:
            if start_ns:
                watch.sent_batch(self, start_ns, topic, messages, None, error)
            raise
        if start_ns:
            watch.sent_batch(self, start_ns, topic, messages, count, None)
        return count

    asked = (
        "init_transactions", "commit_transaction", "abort_transaction", "send_offsets_to_transaction", "list_topics",
    )  # fmt: skip
    methods = {"produce": produce, "produce_batch": produce_batch, **_methods(watch, original, asked)}
    return _stand_in(watch, original, methods)


def _with(delivery: Delivery, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The same arguments, our callback in the place of the app's."""
    if delivery.client.only_errors:
        return args, kwargs
    if len(args) > 4:
        return (*args[:4], delivery, *((None,) if len(args) > 5 else ()), *args[6:]), kwargs
    return args, {**{name: one for name, one in kwargs.items() if name != "callback"}, "on_delivery": delivery}


def consumer(watch: ConfluentWatch, original: Any) -> type:
    """A consumer: what it takes one by one is told together."""

    def poll(self: Any, *args: Any, **kwargs: Any) -> Any:
        start_ns = watch.began(self)
        if not start_ns:
            return original.poll(self, *args, **kwargs)
        try:
            message = original.poll(self, *args, **kwargs)
        except BaseException as error:
            watch.took(self, start_ns, None, error)
            raise
        watch.took(self, start_ns, message, None)
        return message

    def consume(self: Any, *args: Any, **kwargs: Any) -> Any:
        start_ns = watch.began(self)
        if not start_ns:
            return original.consume(self, *args, **kwargs)
        try:
            messages = original.consume(self, *args, **kwargs)
        except BaseException as error:
            watch.took_many(self, start_ns, None, error)
            raise
        watch.took_many(self, start_ns, messages, None)
        return messages

    def close(self: Any) -> Any:
        watch.flush(self)
        return original.close(self)

    def __exit__(self: Any, *args: Any) -> Any:  # noqa: N807
        watch.flush(self)
        return original.__exit__(self, *args)

    asked = ("commit", "committed", "offsets_for_times", "get_watermark_offsets", "list_topics")
    methods = {"poll": poll, "consume": consume, "close": close, "__exit__": __exit__}
    return _stand_in(watch, original, {**methods, **_methods(watch, original, asked)})
