"""The command group ``backwatch partitions``: add partitions, and split the detector's state by app."""

import time

import click

from backwatch.collector.cli import Unavailable
from backwatch.collector.settings import DetectorSettings, SettingError, StoreSettings, StreamSettings, load


@click.group(short_help="Add partitions to the stream, and split the learned state.")
def partitions() -> None:
    """Manage the partitions of a Kafka stream."""


@partitions.command(short_help="Drain the stream, split each shard by app, and add partitions.")
@click.argument("count", type=click.IntRange(2, 10_000))
@click.option("--stream-url", help="kafka://host:9092. [BACKWATCH_STREAM_URL]")
@click.option("--store-url", help="sqlite:///path or postgresql://… [BACKWATCH_STORE_URL]")
@click.option("--timeout", "timeout_s", type=float, default=3_600, show_default=True, help="Seconds to drain in.")
def add(count: int, stream_url: str | None, store_url: str | None, timeout_s: float) -> None:
    """Grow both topics to COUNT partitions, a multiple of the current number.

    Stop every detector first; apps may continue. The command judges the unread records, splits each shard's state by
    app, and only then adds the partitions. Start the detectors again when it is done. If it is interrupted at any
    point, run it again.

    \b
    Examples:
      backwatch partitions add 16
      backwatch partitions add 16 --stream-url kafka://kafka:9092 --store-url postgresql://backwatch@db/backwatch
    """
    from backwatch.collector.stream import StreamUnavailable
    from backwatch.detector.runtime import repartition
    from backwatch.detector.runtime.service import engine_for
    from backwatch.store.commit import Fenced
    from backwatch.store.connect import StoreUnavailable, open_store

    stream = load(StreamSettings, flags={"url": stream_url})
    settings = load(DetectorSettings)
    try:
        wanted = repartition.plan(stream, count)
        store = open_store(load(StoreSettings, flags={"url": store_url}).url, must_exist=True)
        held = repartition.live_member(store, settings.group)
        if held:
            name = f"BACKWATCH_DETECTOR_GROUP={settings.group!r}"
            raise SettingError(f"{name}: {held.member} holds partition {held.partition_id}: stop every detector first")
        click.echo(f"backwatch: draining {wanted.before} partitions", err=True)
        repartition.drain(stream, store, settings, wanted, timeout_s, _Report())
        moved = repartition.split(store, engine_for(store, settings), wanted, time.time_ns())
        repartition.make_partitions(stream, wanted)
    except (StoreUnavailable, StreamUnavailable) as error:
        raise Unavailable(str(error)) from None
    except (repartition.NotDrained, Fenced) as error:
        raise click.ClickException(f"{error}; nothing was changed") from None
    click.echo(f"{wanted.before} -> {wanted.after} partitions; {moved} apps moved to new ones")


class _Report:
    """Prints the progress of the drain when it changes."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, unread: object) -> None:
        line = str(unread)
        if line != self._last:
            self._last = line
            click.echo(f"backwatch: {line}", err=True)
