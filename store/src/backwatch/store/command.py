"""``backwatch db``: brings the store's tables up to date, and says how it stands."""

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from backwatch.collector.cli import InputOutputFailed, Unavailable
from backwatch.collector.settings import StoreSettings, default_store_url, load, without_secrets
from backwatch.store import backup as copies
from backwatch.store import migrate
from backwatch.store import prune as retention
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.health import health
from backwatch.store.transactions import reading
from backwatch.store.views import Health

_URL_OPTION = click.option(
    "--store-url", help="sqlite:///path or postgresql://user@host/database. [BACKWATCH_STORE_URL]"
)


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
    settings = load(StoreSettings, flags={"url": store_url})
    try:
        engine = open_store(settings.url, check=False)
        before, after = migrate.upgrade(engine)
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    engine.dispose()
    click.echo(f"{after}: up to date" if before == after else f"{before or 'empty'} -> {after}")


@db.command(short_help="Says how far the shards are, what was lost, what waits.")
@_URL_OPTION
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(store_url: str | None, *, as_json: bool) -> None:
    """Says how far the shards are, what was lost, and what waits to be delivered."""
    settings = load(StoreSettings, flags={"url": store_url})
    try:
        engine = open_store(settings.url, must_exist=True)
        with reading(engine) as connection:
            version, found = migrate.current(connection), health(connection)
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    engine.dispose()
    shown = without_secrets(settings.url or default_store_url())
    if as_json:
        click.echo(json.dumps({"store": shown, "version": version, **asdict(found)}, sort_keys=True))
    else:
        click.echo(f"store {shown}, tables {version}")
        click.echo("\n".join(_lines(found)))


@db.command(short_help="Removes what is past its time.")
@_URL_OPTION
def prune(store_url: str | None) -> None:
    """Removes what is past its time: rollups, delivered events, quarantined records, alerts long cleared."""
    settings = load(StoreSettings, flags={"url": store_url})
    try:
        engine = open_store(settings.url, must_exist=True)
        removed = retention.prune(engine, time.time_ns())
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    engine.dispose()
    click.echo(", ".join(f"{name} {count}" for name, count in removed.items()))


@db.command(short_help="Copies a SQLite store into a file, while it is in use.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_URL_OPTION
def backup(file: Path, store_url: str | None) -> None:
    """Copies a SQLite store into FILE, as it is at one moment, while detector, notify and dashboard go on.

    A PostgreSQL store is copied by pg_dump.

    \b
    Example:
      backwatch db backup store.backup
    """
    settings = load(StoreSettings, flags={"url": store_url})
    try:
        engine = open_store(settings.url, must_exist=True)
        size = copies.write_backup(engine, file)
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    except FileExistsError as error:
        raise InputOutputFailed(f"{error.strerror}: {file}") from None
    engine.dispose()
    click.echo(f"{file}: {size} bytes")


@db.command(short_help="Replaces a SQLite store by a backup.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_URL_OPTION
def restore(file: Path, store_url: str | None) -> None:
    """Replaces all that is in a SQLite store by what FILE holds. Stop detector, notify and dashboard before.

    A PostgreSQL store is restored by pg_restore.

    \b
    Example:
      backwatch db restore store.backup
    """
    settings = load(StoreSettings, flags={"url": store_url})
    try:
        engine = open_store(settings.url, check=False)
        version = copies.restore_backup(engine, file)
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    engine.dispose()
    click.echo(f"{without_secrets(settings.url or default_store_url())}: restored, tables {version}")


def _lines(found: Health) -> list[str]:
    """For people."""
    lines = [
        f"shard {one.id}: commit {one.seq}, offset {one.next_offset}, watermark {_moment(one.watermark_ns)}, "
        f"last moved {_moment(one.updated_ns)}"
        for one in found.shards
    ] or ["no shard has been committed yet"]
    lines += [f"lost {name}: {count}" for name, count in found.losses.items()]
    if found.quarantined:
        lines.append(f"quarantined records: {found.quarantined}")
    for one in found.endpoints:
        disabled = f", disabled: {one.reason}" if one.disabled_ns is not None else ""
        counts = f"{one.delivered} delivered, {one.pending} pending ({one.failing} failing), {one.lost} lost"
        counts += f", {one.held} held for a digest" if one.held else ""
        lines.append(f"endpoint {one.name}: {counts}{disabled}")
    return lines


def _moment(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).isoformat() if time_ns else "never"
