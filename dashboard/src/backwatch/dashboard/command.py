"""The sub-command ``dashboard``."""

import sys

import click

from backwatch.collector.cli import Unavailable
from backwatch.collector.settings import DashboardSettings, StoreSettings, load


@click.command(short_help="Shows alerts and resources in a browser.")
@click.option("--address", help="Where to listen; loopback unless you say otherwise. [BACKWATCH_DASHBOARD_ADDRESS]")
@click.option("--port", type=click.IntRange(1, 65_535), help="The port to listen on. [BACKWATCH_DASHBOARD_PORT]")
def dashboard(address: str | None, port: int | None) -> None:
    """Shows alerts and resources in a browser: http://127.0.0.1:8501 by default.

    There is no login, so it serves loopback only. For others, put a proxy with authentication before it, and set
    BACKWATCH_DASHBOARD_PROXY_USER_HEADER and BACKWATCH_DASHBOARD_PROXY_SECRET.

    \b
    Examples:
      backwatch dashboard
      backwatch dashboard --port 9000
    """
    from backwatch.dashboard.server import listen, serve
    from backwatch.store.connect import StoreUnavailable, open_store
    from backwatch.store.queries import shard_rows
    from backwatch.store.transactions import reading

    settings = load(DashboardSettings, flags={"address": address, "port": str(port) if port else None})
    try:
        store = open_store(load(StoreSettings).url, must_exist=True)
        with reading(store) as connection:
            shard_rows(connection)
        store.dispose()
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    listening = listen(settings)
    click.echo(f"dashboard: http://{settings.address}:{settings.port}", err=True)
    try:
        serve(settings, listening)
    except KeyboardInterrupt:
        sys.exit(130)
