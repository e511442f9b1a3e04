"""The sub-commands ``demo`` and ``up``."""

import io
import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

import click

PIPE_WIDTH = 150
"""Columns of the table if the output is no terminal."""


@click.command(short_help="Shows real attacks on loopback being caught.")
@click.option(
    "--once", is_flag=True, help="Play the cast once, print the table and leave; so does any run without a terminal."
)
def demo(once: bool) -> None:
    """Shows real attacks on loopback being caught: an ordinary app, real drivers, services that turn bad one by one.

    Needs no server, no root and no network. Exit code 0 only if every attack was caught under its right name and
    nothing else was said.

    \b
    Examples:
      backwatch demo           play it, then go on showing the dashboard
      backwatch demo --once    play it and leave
    """
    try:
        sys.exit(_perform(once=once or not sys.stdout.isatty()))
    except KeyboardInterrupt:
        sys.exit(130)


def _perform(*, once: bool) -> int:
    begun = time.monotonic()
    from rich.console import Console

    from backwatch.attack.demo.setup import staged
    from backwatch.attack.demo.show import Show
    from backwatch.attack.environment import StageError, leave_on_signals

    leave_on_signals()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no check marks still shows the rest
    show = Show(Console(width=None if sys.stdout.isatty() else PIPE_WIDTH))
    try:
        with staged(show) as (performance, address):
            outcome = performance.play()
            show.table()
            show.end(f"{outcome}, {time.monotonic() - begun:.0f} s", good=outcome.good)
            if not once:
                show.step(f"the dashboard goes on at {address} and the shop at its work; stop with Ctrl-C")
                performance.hold()
    except StageError as error:
        raise click.ClickException(str(error)) from None
    return 0 if outcome.good else 1


@click.command(short_help="Starts stream, detector, notify and dashboard here.")
def up() -> None:
    """Starts stream, detector, notify and dashboard on this machine, and waits for your app under backwatch run.

    Notify is started where BACKWATCH_WEBHOOK_URL is set.

    \b
    Example:
      backwatch up &
      backwatch run -- python app.py
    """
    from backwatch.attack.environment import StageError, leave_on_signals

    leave_on_signals()
    try:
        _keep_up()
    except KeyboardInterrupt:
        sys.exit(130)
    except StageError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


def _keep_up() -> None:
    from backwatch.attack.environment import Stage, answers
    from backwatch.collector import settings
    from backwatch.store.connect import open_store
    from backwatch.store.migrate import upgrade

    dashboard = settings.load(settings.DashboardSettings)
    notifies = bool(settings.load(settings.NotifySettings).webhook_url)
    stream_url = settings.load(settings.StreamSettings).url or settings.default_stream_url()
    store_url = settings.load(settings.StoreSettings).url or settings.default_store_url()
    port = settings.load(settings.MonitoringSettings).port

    def monitored(number: int) -> dict[str, str]:
        """Return the monitoring port of a component by its number: each is a process of its own."""
        return {"BACKWATCH_MONITORING_PORT": str(port + number if port else 0)}

    _is_free(dashboard.address, dashboard.port)
    store = open_store(store_url, check=False)
    upgrade(store)  # before any client reads it
    store.dispose()
    with tempfile.TemporaryDirectory(prefix="backwatch-up-") as folder, Stage(Path(folder), os.environ) as stage:
        stage.start("detector", ("detect",), monitored(0))
        stage.start("dashboard", ("dashboard",), monitored(2))
        if notifies:
            stage.start("notify", ("notify",), monitored(1))
        where = "127.0.0.1" if dashboard.address in ("0.0.0.0", "") else dashboard.address
        stage.wait_for("the dashboard listens", lambda: answers(where, dashboard.port))
        click.echo(f"stream     {settings.without_secrets(stream_url)}")
        click.echo(f"store      {settings.without_secrets(store_url)}")
        click.echo(f"dashboard  http://{where}:{dashboard.port}")
        click.echo(f"notify     {'on' if notifies else 'off: BACKWATCH_WEBHOOK_URL is not set'}")
        if port:
            click.echo(
                f"monitoring {port} (detector){f', {port + 1} (notify)' if notifies else ''}, {port + 2} (dashboard)"
            )
        click.echo(f"logs       {folder}")
        command = "backwatch" if shutil.which("backwatch") else sys.argv[0]
        click.echo(f"Now run your app:  {command} run -- python app.py")
        while True:
            stage.check()
            time.sleep(1)


def _is_free(address: str, port: int) -> None:
    from backwatch.collector.settings import SettingError

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except (socket.gaierror, UnicodeError):
            raise SettingError(f"BACKWATCH_DASHBOARD_ADDRESS={address!r}: is not an address of this machine") from None
        except OSError as error:
            raise SettingError(
                f"BACKWATCH_DASHBOARD_PORT={port}: cannot listen on {address}: {error.strerror}"
            ) from None
