"""Opening the publisher, consumer or relay of the configured stream."""

import contextlib
import importlib
import warnings
from collections.abc import Callable, Generator, Sequence
from typing import Final, cast

from backwatch.collector.settings import SettingError, StreamSettings, default_stream_url, without_secrets
from backwatch.collector.stream import Consumer, Publisher, Relay

_WARNING: Final = r"\w+ is deprecated\. Use files\(\)(?#backwatch)"
"""A warning of Python 3.11 and 3.12 when kafka-python reads its schemas. The comment marks the collector's filter."""


def _scheme(settings: StreamSettings) -> tuple[str, str]:
    url = settings.url or default_stream_url()
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in ("kafka", "sqlite"):
        raise SettingError(f"BACKWATCH_STREAM_URL={without_secrets(url)!r}: must begin with kafka:// or sqlite:///")
    return scheme, url


@contextlib.contextmanager
def _driver_may_warn() -> Generator[None]:
    """Ignore a warning at the import of kafka-python: an app that turns warnings into errors would have no stream.

    Not with ``catch_warnings``, which would undo changes that the app's other threads make to the filters meanwhile.
    """
    warnings.filterwarnings("ignore", message=_WARNING, category=DeprecationWarning)
    added = [entry for entry in warnings.filters if getattr(entry[1], "pattern", entry[1]) == _WARNING]
    try:
        yield
    finally:
        for entry in added:
            with contextlib.suppress(ValueError):  # the app has replaced the filters
                cast("list[object]", warnings.filters).remove(entry)


def prepare_publisher(settings: StreamSettings) -> Callable[[], Publisher]:
    """Return a function that opens a publisher for the configured stream, after importing all that it needs.

    Raises:
        SettingError: The URL names no known stream.
    """
    scheme, url = _scheme(settings)
    if scheme == "kafka":
        try:
            importlib.import_module("encodings.idna")  # otherwise imported at the first lookup of a host name
            with _driver_may_warn():
                from backwatch.collector.stream.kafka import KafkaPublisher
        except ImportError as error:  # for example inside an app that has its own module kafka
            raise SettingError(
                f"BACKWATCH_STREAM_URL={without_secrets(url)!r}: kafka-python cannot be imported: {error}"
            ) from None
        return lambda: KafkaPublisher(url, settings)
    from backwatch.collector.stream.sqlite import SqlitePublisher

    return lambda: SqlitePublisher(url)


def open_publisher(settings: StreamSettings) -> Publisher:
    """Open a publisher for the configured stream.

    Raises:
        SettingError: The URL names no known stream.
        StreamUnavailable: It does not respond.
    """
    return prepare_publisher(settings)()


def open_consumer(settings: StreamSettings, topic: str, group: str, instance: str = "") -> Consumer:
    """Open a member of ``group`` that reads ``topic``; raises as :func:`open_publisher` does.

    Args:
        settings: The stream and how to reach it.
        topic: The topic to read.
        group: The consumer group.
        instance: The member's unique name, the same after a restart; empty: a new one each time.
    """
    scheme, url = _scheme(settings)
    if scheme == "kafka":
        from backwatch.collector.stream.kafka import KafkaGroupConsumer

        return KafkaGroupConsumer(url, settings, topic, group, instance)
    from backwatch.collector.stream.sqlite import SqliteConsumer

    return SqliteConsumer(url, topic, group)


def open_relay(settings: StreamSettings, source: str, target: str, group: str, instance: str = "") -> Relay:
    """Open a relay from ``source`` to ``target``; errors and ``instance`` as in :func:`open_consumer`."""
    scheme, url = _scheme(settings)
    if scheme == "kafka":
        from backwatch.collector.stream.kafka import KafkaRelay

        return KafkaRelay(url, settings, source, target, group, instance)
    from backwatch.collector.stream.sqlite import SqliteRelay

    return SqliteRelay(url, source, target, group)


def ensure_topics(settings: StreamSettings, topics: Sequence[str]) -> None:
    """Create the missing topics with ``settings.partitions`` partitions and ``LogAppendTime``."""
    scheme, url = _scheme(settings)
    if scheme == "kafka":
        from backwatch.collector.stream.kafka import create_topics

        create_topics(url, settings, topics)
    else:
        from backwatch.collector.stream.sqlite import create_file

        create_file(url)
