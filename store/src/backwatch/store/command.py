"""``backwatch db``: upgrade, status, retention, backup and restore of the store."""

import contextlib
import json
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import sqlalchemy as sa

from backwatch.collector.cli import EXIT_UNHEALTHY, InputOutputFailed, Unavailable
from backwatch.collector.console.logs import escape
from backwatch.collector.settings import StoreSettings, default_store_url, load, without_secrets
from backwatch.store import backup as copies
from backwatch.store import migrate
from backwatch.store import prune as retention
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.health import health
from backwatch.store.monitoring.deliveries import find_served_incidents
from backwatch.store.monitoring.incidents import SILENT_AFTER_S, Incident, find_disabled, find_incidents
from backwatch.store.progress import PartitionProgress
from backwatch.store.transactions import reading
from backwatch.store.views import Health

CLOCK_AHEAD_S: Final = 600
"""The clocks of machines agree within seconds: a shard that is so far ahead has believed a timestamp that was wrong."""
_URL_OPTION = click.option(
    "--store-url", help="sqlite:///path or postgresql://user@host/database. [BACKWATCH_STORE_URL]"
)


@contextlib.contextmanager
def _open_for_command(store_url: str | None, *, check: bool = True, must_exist: bool = False) -> Generator[sa.Engine]:
    """Open the store that option or settings name, for a command."""
    settings = load(StoreSettings, flags={"url": store_url})
    try:
        engine = open_store(settings.url, check=check, must_exist=must_exist)
        yield engine
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    engine.dispose()


def _shown_url(store_url: str | None) -> str:
    return without_secrets(load(StoreSettings, flags={"url": store_url}).url or default_store_url())


@click.group(short_help="Looks after the store: upgrade, status, prune, backup, restore.")
def db() -> None:
    """Looks after the store: where alerts, decisions and the detector's state are kept."""


@db.command(short_help="Brings the tables to the version of this Backwatch.")
@_URL_OPTION
def upgrade(store_url: str | None) -> None:
    """Brings the store's tables to the version of this Backwatch, whole or not at all.

    \b
    Examples:
      backwatch db upgrade
      backwatch db upgrade --store-url postgresql://backwatch@db/backwatch
    """
    with _open_for_command(store_url, check=False) as engine:
        before, after = migrate.upgrade(engine)
    click.echo(f"{after}: up to date" if before == after else f"{before or 'empty'} -> {after}")


@db.command(short_help="Shows shards, losses and pending deliveries.")
@_URL_OPTION
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--check", is_flag=True, help="Exit with 3 where a part does not work.")
def status(store_url: str | None, *, as_json: bool, check: bool) -> None:
    """Show the progress of shards, losses, and pending deliveries.

    With --check, exit code 3 where no detector has reported for a minute, or a partition is not read or does not
    advance, or an endpoint is disabled, or notify does not deliver.
    """
    with _open_for_command(store_url, must_exist=True) as engine, reading(engine) as connection:
        version, found, now_ns = migrate.get_version(connection), health(connection), time.time_ns()
        undelivered = find_served_incidents(connection, now_ns)
    shown = _shown_url(store_url)
    wrong = [*find_incidents(found.progress, found.shards, now_ns), *find_disabled(found.endpoints, now_ns)]
    wrong += [incident for incident in undelivered if incident not in wrong]
    partitions = sorted(found.progress, key=lambda partition: _worst_first(partition, now_ns))
    if as_json:
        incidents = [asdict(incident) for incident in wrong]
        document = {"store": shown, "version": version, **asdict(found), "incidents": incidents}
        document["progress"] = [{**asdict(partition), "lag": partition.lag} for partition in partitions]
        click.echo(json.dumps(document, sort_keys=True))
    else:
        click.echo(f"store {shown}, tables {version}")
        lines = [*_incident_lines(wrong), *_clock_lines(found, now_ns), *_lines(found), *_progress_lines(partitions)]
        click.echo("\n".join(lines))
    if check and wrong:
        click.get_current_context().exit(EXIT_UNHEALTHY)


@db.command(short_help="Removes what is past its time.")
@_URL_OPTION
def prune(store_url: str | None) -> None:
    """Removes what is past its time: rollups, delivered events, quarantined records, alerts long cleared."""
    with _open_for_command(store_url, must_exist=True) as engine:
        removed = retention.prune(engine, time.time_ns())
    click.echo(", ".join(f"{name} {count}" for name, count in removed.items()))


@db.command(short_help="Copies a SQLite store into a file, while it is in use.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_URL_OPTION
def backup(file: Path, store_url: str | None) -> None:
    """Copies a SQLite store into FILE, as it is at one moment, while detector, notify and dashboard go on.

    The store may be of any version: make a backup before each upgrade. A PostgreSQL store is copied by pg_dump.

    \b
    Example:
      backwatch db backup store.backup
    """
    with _open_for_command(store_url, check=False, must_exist=True) as engine:
        try:
            size = copies.write_backup(engine, file)
        except FileExistsError as error:
            raise InputOutputFailed(f"{error.strerror}: {file}") from None
    click.echo(f"{file}: {size} bytes")


@db.command(short_help="Replaces a SQLite store by a backup.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_URL_OPTION
def restore(file: Path, store_url: str | None) -> None:
    """Replaces all that is in a SQLite store by what FILE holds. Stop detector, notify and dashboard before.

    A backup of an earlier version is upgraded. A PostgreSQL store is restored by pg_restore.

    \b
    Example:
      backwatch db restore store.backup
    """
    with _open_for_command(store_url, check=False) as engine:
        version = copies.restore_backup(engine, file)
        _, after = migrate.upgrade(engine)
    tables = f"tables {version}" + (f", upgraded to {after}" if after != version else "")
    click.echo(f"{_shown_url(store_url)}: restored, {tables}")


def _lines(found: Health) -> list[str]:
    """For people."""
    lines = [
        f"shard {shard.id}: commit {shard.seq}, offset {shard.next_offset}, watermark {_moment(shard.watermark_ns)}, "
        f"last moved {_moment(shard.updated_ns)}"
        for shard in found.shards
    ] or ["no shard has been committed yet"]
    lines += [f"lost {name}: {count}" for name, count in found.losses.items()]
    if found.quarantined:
        lines.append(f"quarantined records: {found.quarantined}")
    for endpoint in found.endpoints:
        disabled = f", disabled: {endpoint.reason}" if endpoint.disabled_ns is not None else ""
        counts = f"{endpoint.delivered} delivered, {endpoint.pending} pending ({endpoint.failing} failing)"
        counts += f", {endpoint.lost} lost"
        counts += f", {endpoint.held} held for a digest" if endpoint.held else ""
        lines.append(f"endpoint {endpoint.name}: {counts}{disabled}")
    return lines


def _clock_lines(found: Health, now_ns: int) -> list[str]:
    """A watermark only grows: one that a timestamp from the future has moved stays there until time has come to it."""
    return [
        f"CLOCK AHEAD: shard {shard.id} stands at {_moment(shard.watermark_ns)}; until then all its calls count as late"
        ' and are held against no baseline. To set it back, see docs/operations.md, "When a shard\'s clock is ahead".'
        for shard in found.shards
        if shard.watermark_ns - now_ns > CLOCK_AHEAD_S * 1_000_000_000
    ]


def _incident_lines(wrong: Sequence[Incident]) -> list[str]:
    return [
        f"NOT WORKING: {incident.message}{f' Reason: {escape(incident.reason)}' if incident.reason else ''}"
        for incident in wrong
    ]


def _worst_first(row: PartitionProgress, now_ns: int) -> tuple[int, int, str, str, int]:
    """Order partitions by how long they stand still, then by lag."""
    still_s = (now_ns - row.advanced_ns) // 1_000_000_000 if row.lag else 0
    silent_s = (now_ns - row.updated_ns) // 1_000_000_000
    return (-max(still_s, silent_s if silent_s > SILENT_AFTER_S else 0), -row.lag, row.consumer_group, row.topic,
            row.partition_id)  # fmt: skip


def _progress_lines(partitions: Sequence[PartitionProgress]) -> list[str]:
    return [
        f"partition {partition.partition_id} of {partition.topic}, group {partition.consumer_group}: "
        f"lag {partition.lag}, offset {partition.next_offset} of {partition.end_offset}, "
        f"advanced {_moment(partition.advanced_ns)}, reported {_moment(partition.updated_ns)}"
        f" by {escape(partition.member)}"
        f"{f': {escape(partition.reason)}' if partition.reason else ''}"
        for partition in partitions
    ]


def _moment(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).isoformat() if time_ns else "never"
